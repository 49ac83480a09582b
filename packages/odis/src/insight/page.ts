import { basename } from "node:path";
import {
  count,
  factList,
  type Html,
  html,
  htmlDocument,
  percent,
  section,
} from "../report/index.js";
import type { Store } from "../search/index.js";
import { isNamed } from "./clusters.js";
import type { Insight } from "./insight.js";
import { Tiles } from "./tiles.js";

/** What is shown of each: a page that somebody looks through. */
const shown = { groups: 24, copies: 8, outliers: 32, doubts: 32, members: 10 } as const;

/**
 * What stands out in a store, as one HTML file with its pictures in it.
 *
 * @param onMissing told of pictures that cannot be read any more; their places stay empty
 */
export async function insightPage(
  store: Store,
  insight: Insight,
  onMissing: (reason: string) => void,
): Promise<string> {
  const tiles = new Tiles(store, onMissing);
  const { duplicates, doubts, clusters, kind, looked } = insight;
  const [seen, size] = [looked.images, store.size("images")];
  const sample = seen < size ? `of ${count(seen)} of ${count(size)} images` : undefined;
  const inAll = duplicates.groups.reduce((sum, { rows }) => sum + rows.length, 0);
  const facts = factList([
    ["images", count(size)],
    ["objects", kind === "objects" ? count(store.size("objects")) : undefined],
    ["near-duplicates", `${count(inAll)} in ${count(duplicates.groups.length)} groups`],
    ["labels in doubt", doubts.length > 0 ? count(doubts.length) : undefined],
    ["clusters", count(clusters.clusters.length)],
  ]);
  const title = `What stands out in ${basename(store.path)}`;
  const { recipe, size: side, frame } = store.model;
  return htmlDocument(
    title,
    html`<h1>${title}</h1>
<p class="lead">${store.places.join(", ")}; vectors by ${recipe} at ${side} pixels, ${frame} frame.${looked[kind] < store.size(kind) && ` Looked at were ${count(looked[kind])} ${kind}, evenly spread, each compared with all.`}</p>
${facts}
${section("Near-duplicates", await groupStrips(tiles, store, insight, sample), sample ? `None ${sample} is nearly the same as another.` : "No two images are nearly the same.")}
${section(`Farthest from all others`, await outlierGrid(tiles, store, insight), `There are too few ${kind} to compare.`)}
${kind === "objects" && section("Labels in doubt", await doubtStrips(tiles, insight), "Nothing is labelled, or no label is contradicted by its neighbours.")}
${section("Clusters", await clusterStrips(tiles, insight), "There is nothing to group.")}`,
  );
}

async function groupStrips(
  tiles: Tiles,
  store: Store,
  { duplicates }: Insight,
  sample: string | undefined,
): Promise<Html | undefined> {
  const { groups, least } = duplicates;
  if (groups.length === 0) return undefined;
  const strips: Html[] = [];
  for (const { rows, similarity } of groups.slice(0, shown.groups)) {
    const list = await inTurn(rows.slice(0, shown.copies), (row) =>
      tiles.tile("images", row, html`<span>${store.image(row).key}</span>`),
    );
    strips.push(
      html`<article class="strip"><div class="query"><span>${rows.length} images</span><small>alike to ${similarity.toFixed(4)}</small></div><ol>${list}</ol></article>`,
    );
  }
  return html`<p class="note">Images whose vectors have a cosine of ${least.toFixed(4)} or more${more(groups.length, shown.groups, "groups")}${sample && `; found for the neighbours ${sample}`}.</p>${strips}`;
}

async function outlierGrid(
  tiles: Tiles,
  store: Store,
  { outliers, kind, neighbours }: Insight,
): Promise<Html | undefined> {
  if (outliers.length === 0) return undefined;
  const list = await inTurn(outliers.slice(0, shown.outliers), ({ row, times }) => {
    const name = kind === "objects" ? store.object(row).class : undefined;
    return tiles.tile(
      kind,
      row,
      html`<span>${name ?? basename(keyOf(store, kind, row))}</span><small>${times.toFixed(1)} times as far</small>`,
    );
  });
  return html`<p class="note">By the mean distance to the ${neighbours} nearest, as a multiple of the middle one’s.</p><div class="strip"><ol>${list}</ol></div>`;
}

async function doubtStrips(
  tiles: Tiles,
  { doubts, neighbours }: Insight,
): Promise<Html | undefined> {
  if (doubts.length === 0) return undefined;
  const list = await inTurn(doubts.slice(0, shown.doubts), ({ row, class: own, other, share }) =>
    tiles.tile(
      "objects",
      row,
      html`<span>${own}</span><small>${percent(share)} % around it: ${other}</small>`,
    ),
  );
  return html`<p class="note">Objects of which nearly all of the ${neighbours} nearest are of one other class${more(doubts.length, shown.doubts, "objects")}: mislabelled, or mistaken by the network.</p><div class="strip"><ol>${list}</ol></div>`;
}

async function clusterStrips(
  tiles: Tiles,
  { clusters: { clusters, similarity }, kind }: Insight,
): Promise<Html | undefined> {
  if (clusters.length === 0) return undefined;
  const strips: Html[] = [];
  for (const { members, name } of clusters) {
    const list = await inTurn(members.slice(0, shown.members), (row) =>
      tiles.tile(kind, row, html``),
    );
    strips.push(
      html`<article class="strip"><div class="query"><span>${name === undefined ? "no class" : isNamed({ name }) ? name.class : "mixed"}</span><small>${name && `${name.class} ${percent(name.share)} %, `}${count(members.length)} ${kind}</small></div><ol>${list}</ol></article>`,
    );
  }
  return html`<p class="note">Groups by spherical k-means, the largest first, named by the class that half of their labelled ones or more have; shown are those nearest to the centre. Mean cosine with the centre: ${similarity.toFixed(3)}.</p>${strips}`;
}

const more = (all: number, some: number, what: string): string =>
  all > some ? `; the first ${some} of ${count(all)} ${what}` : "";

const keyOf = (store: Store, kind: Insight["kind"], row: number): string =>
  (kind === "objects" ? store.object(row).image : store.image(row)).key;

/** One after the other: pictures take memory. */
async function inTurn<T>(items: readonly T[], make: (item: T) => Promise<Html>): Promise<Html[]> {
  const made: Html[] = [];
  for (const item of items) made.push(await make(item));
  return made;
}
