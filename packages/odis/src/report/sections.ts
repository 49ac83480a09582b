import { basename } from "node:path";
import type { DataSource, Sample } from "../data/index.js";
import { BadImageError, Rng } from "../core/index.js";
import type { Recipe } from "../recipe/index.js";
import { type GlobalSlot, makeViews, newViewSlots, type ViewReport } from "../views/index.js";
import { outline } from "../portable/index.js";
import { type Html, html } from "./html.js";
import {
  cells,
  fromPlanar,
  heatPicture,
  objectCrop,
  type Picture,
  pngAddress,
  shrunk,
} from "./pictures.js";
import type { Network } from "../model/index.js";
import {
  frameObject,
  type FrameOptions,
  framePixels,
  headAttention,
  meanAttention,
} from "../features/index.js";
import type { Example, LabelledItem } from "../evaluate/index.js";

const mostLocals = 5;

/**
 * An image beside the views that training would cut from it, visible and hidden patches drawn;
 * undefined when it has no object that training would choose.
 */
export async function viewsRow(
  sample: Sample,
  recipe: Recipe,
  seed: number,
): Promise<Html | undefined> {
  const { views, model } = recipe;
  const { size } = views.globals;
  const { global, local } = newViewSlots(views, model.patch);
  const rng = new Rng("report", recipe.seed, seed);
  const report = makeViews(sample, views, model.patch, rng, { global, local });
  if (report.objects.length === 0) return undefined;
  const globals = await Promise.all(
    global.map((slot, i) => globalView(slot, size, model.patch, `global view ${i + 1}`, report, i)),
  );
  const locals = await Promise.all(
    local.slice(0, mostLocals).map(async ({ pixels }, i) => {
      const address = await pngAddress(fromPlanar(pixels, views.locals.size));
      return html`<img class="local" src="${address}" alt="local view ${i + 1}" width="${views.locals.size}" height="${views.locals.size}">`;
    }),
  );
  return html`<div class="views">
<figure>${await original(sample, report)}<figcaption>${sample.key}</figcaption></figure>
${globals}
${locals.length > 0 && html`<figure><div class="locals">${locals}</div><figcaption>local views${views.locals.count > mostLocals && `, ${mostLocals} of ${views.locals.count}`}</figcaption></figure>`}
</div>`;
}

/** The whole image with the chosen object's outline and the places of the global views. */
async function original(sample: Sample, report: ViewReport): Promise<Html> {
  const { width, height } = sample;
  const picture = await shrunk(sample, 320);
  const [object] = report.objects;
  // Outlined on a coarser grid where the image is large: the path would be larger than the picture.
  const step = Math.max(1, Math.ceil(Math.max(width, height) / 160));
  const [columns, rows] = [Math.ceil(width / step), Math.ceil(height / step)];
  const mask = object?.pixels();
  const bits = Uint8Array.from({ length: columns * rows }, (_, i) =>
    mask ? mask[Math.floor(i / columns) * step * width + (i % columns) * step]! : 0,
  );
  return html`<svg class="picture" viewBox="0 0 ${width} ${height}" role="img" aria-label="the image with its chosen object outlined and the global views framed">
<image href="${await pngAddress(picture)}" width="${width}" height="${height}" preserveAspectRatio="none"/>
${report.global.map(({ box }) => html`<rect class="frame" x="${box.x}" y="${box.y}" width="${box.width}" height="${box.height}"/>`)}
<path class="edge-back" d="${outline(bits, columns, rows, step)}"/><path class="edge" d="${outline(bits, columns, rows, step)}"/>
</svg>`;
}

async function globalView(
  { pixels, visible, hidden, present }: GlobalSlot,
  size: number,
  patch: number,
  name: string,
  { tries }: ViewReport,
  index: number,
): Promise<Html> {
  const side = size / patch;
  const picture = await shrunk(fromPlanar(pixels, size), 224);
  const seen = visible.subarray(0, side * side); // of the first object
  const edge = outline(seen, side, side, patch);
  const hiddenCount = hidden.reduce((sum, bit) => sum + bit, 0);
  const visibleCount = seen.reduce((sum, bit) => sum + bit, 0);
  const words = present[0]
    ? `${visibleCount} of ${side * side} patches visible`
    : "object not present";
  const drawn = tries[index]! > 1 ? `, ${tries[index]} tries` : "";
  return html`<figure>
<svg class="picture${size < 128 ? " pixelated" : ""}" viewBox="0 0 ${size} ${size}" role="img" aria-label="${name}: ${words}, ${hiddenCount} hidden">
<image href="${await pngAddress(picture)}" width="${size}" height="${size}"/>
<path class="shade" d="${cells(
    seen.map((bit) => 1 - bit),
    side,
    patch,
  )}"/>
<g class="hidden"><path class="lid" d="${cells(hidden, side, patch)}"/>${hiddenCrosses(hidden, side, patch)}</g>
<path class="edge-back" d="${edge}"/><path class="edge" d="${edge}"/>
</svg><figcaption>${name}: ${words}${hiddenCount > 0 && `, ${hiddenCount} hidden`}${drawn}</figcaption></figure>`;
}

/** A stroke from corner to corner of every hidden patch: seen without telling colours apart. */
function hiddenCrosses(hidden: Uint8Array, side: number, patch: number): Html {
  const strokes = Array.from(hidden, (bit, i) =>
    bit ? `M${(i % side) * patch},${(Math.floor(i / side) + 1) * patch}l${patch},${-patch}` : "",
  );
  return html`<path class="stroke" d="${strokes.join("")}"/>`;
}

/** An object's image, and the teacher's attention with the object's mask and without. */
export async function attentionRow(
  network: Network,
  sample: Sample,
  index: number,
  className: string,
  options: FrameOptions,
): Promise<Html | undefined> {
  const { size, patch } = options;
  const object = sample.objects[index];
  const framed = object && frameObject(sample, object, options);
  if (!framed) return undefined;
  const { visible } = framed;
  const pixels = framePixels(sample, options);
  const side = size / patch;
  const picture = enlarged(fromPlanar(pixels, size));
  const heat = async (map: Float32Array): Promise<string> =>
    pngAddress(await heatPicture(picture, map, side));
  const edge = outline(visible, side, side, patch);
  const tile = (address: string, name: string): Html =>
    html`<figure><svg class="picture" viewBox="0 0 ${size} ${size}" role="img" aria-label="${name}">
<image href="${address}" width="${size}" height="${size}"/><path class="edge-back" d="${edge}"/><path class="edge" d="${edge}"/></svg>
<figcaption>${name}</figcaption></figure>`;
  return html`<div class="views">
${tile(await pngAddress(picture), className)}
${tile(await heat(meanAttention(headAttention(network, size, pixels, visible))), "with mask")}
${tile(await heat(meanAttention(headAttention(network, size, pixels))), "without mask")}
</div>`;
}

/** Small pictures by whole multiples, so that heat drawn over them is smooth. */
function enlarged({ width, height, rgb }: Picture): Picture {
  const times = Math.max(1, Math.floor(192 / Math.max(width, height)));
  const out = new Uint8Array(3 * width * height * times * times);
  for (let y = 0, to = 0; y < height * times; y += 1)
    for (let x = 0; x < width * times; x += 1, to += 3) {
      const from = 3 * (Math.floor(y / times) * width + Math.floor(x / times));
      for (let c = 0; c < 3; c += 1) out[to + c] = rgb[from + c]!;
    }
  return { width: width * times, height: height * times, rgb: out };
}

/** Test objects, each with its nearest neighbours in the bank as a strip of pictures. */
export async function neighbourStrips(
  examples: readonly Example[],
  classes: readonly string[],
  train: DataSource,
  test: DataSource,
): Promise<Html> {
  const strips: Html[] = [];
  for (const { query, neighbours } of examples) {
    const found: Html[] = [];
    for (const neighbour of neighbours)
      found.push(html`<li class="${classes.length > 0 && (isRight(neighbour, query) ? "right" : "wrong")}">${await thumbnail(train, neighbour)}
${classes.length > 0 && verdictOn(neighbour, query, classes)}<small>${neighbour.similarity.toFixed(2)}</small></li>`);
    strips.push(
      html`<article class="strip"><div class="query">${await thumbnail(test, query)}${queryText(query, neighbours, classes)}</div><ol>${found}</ol></article>`,
    );
  }
  return html`${strips}`;
}

const isRight = (neighbour: LabelledItem, query: LabelledItem): boolean =>
  neighbour.label === query.label;

const className = ({ label }: LabelledItem, classes: readonly string[]): string =>
  classes[label] ?? `class ${label}`;

function verdictOn(neighbour: LabelledItem, query: LabelledItem, classes: readonly string[]): Html {
  const [word, mark] = isRight(neighbour, query) ? ["right", "✓"] : ["wrong", "✗"];
  return html`<span><b class="mark" role="img" aria-label="${word}">${mark}</b> ${className(neighbour, classes)}</span>
`;
}

/** Nothing can be right or wrong where nothing has a class. */
function queryText(
  query: LabelledItem,
  neighbours: readonly LabelledItem[],
  classes: readonly string[],
): Html {
  if (classes.length === 0) return html`<span>${basename(query.key)}</span>`;
  const hits = neighbours.filter((neighbour) => isRight(neighbour, query)).length;
  return html`<span>${className(query, classes)}</span><small>${hits} of ${neighbours.length} right</small>`;
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
