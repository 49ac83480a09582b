import type { DataSource } from "../../data/sample.js";
import { BadImageError } from "../../errors.js";
import type { Example, LabelledItem } from "../examples.js";
import { type Html, html } from "./html.js";
import { objectCrop, pngAddress, shrunk } from "./pictures.js";

/** Test objects, each with its nearest neighbours in the bank as a strip of pictures. */
export async function neighbourStrips(
  examples: readonly Example[],
  classes: readonly string[],
  train: DataSource,
  test: DataSource,
): Promise<Html> {
  const strips: Html[] = [];
  for (const { query, neighbours } of examples) {
    const name = (item: LabelledItem): string => classes[item.label] ?? `class ${item.label}`;
    const found: Html[] = [];
    for (const neighbour of neighbours) {
      const right = neighbour.label === query.label;
      found.push(html`<li class="${right ? "right" : "wrong"}">${await thumbnail(train, neighbour)}
<span><b class="mark" role="img" aria-label="${right ? "right" : "wrong"}">${right ? "✓" : "✗"}</b> ${name(neighbour)}</span>
<small>${neighbour.similarity.toFixed(2)}</small></li>`);
    }
    const hits = neighbours.filter(({ label }) => label === query.label).length;
    strips.push(
      html`<article class="strip"><div class="query">${await thumbnail(test, query)}<span>${name(query)}</span><small>${hits} of ${neighbours.length} right</small></div><ol>${found}</ol></article>`,
    );
  }
  return html`${strips}`;
}

async function thumbnail(source: DataSource, item: LabelledItem): Promise<Html> {
  try {
    const sample = await source.read(item.image);
    const object = sample.objects[item.object];
    if (!object || sample.key !== item.key) return missing(item, "data changed");
    const picture = await shrunk(objectCrop(sample, object.box, object.pixels()), 112);
    return html`<img src="${await pngAddress(picture)}" alt="" title="${item.key}" width="${picture.width}" height="${picture.height}">`;
  } catch (error) {
    if (error instanceof BadImageError) return missing(item, error.reason);
    throw error;
  }
}

function missing({ key }: LabelledItem, reason: string): Html {
  return html`<div class="missing" title="${key}: ${reason}">no picture</div>`;
}
