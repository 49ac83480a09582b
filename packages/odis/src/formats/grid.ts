import { shellWord, WeightsError } from "../core/index.js";
import type { StatedShape } from "./format.js";

/** Rows and columns of patches. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
  /** `square`: the file does not say, and their number is that of a square, as in published files */
  readonly from: "file" | "square";
}

/**
 * The grid of a table of positions, and how many entries stand before it: one for each special
 * token, one for all [OBJ], or none (timm's `no_embed_class`). What the file says decides. Where it
 * says nothing, special tokens have entries and the rest is a square; anything else could be read
 * in two ways and is refused.
 *
 * @throws WeightsError
 */
export function gridOf(
  file: string,
  entries: number,
  { cls, objects }: { readonly cls: boolean; readonly objects: number },
  patch: number,
  { grid, image, specialPositions }: StatedShape,
): { readonly special: number; readonly grid: Grid } {
  const first = cls ? 1 : 0;
  const own = [first + Math.min(1, objects), first + objects];
  const stated =
    grid ??
    (image && {
      rows: Math.floor(image.height / patch),
      columns: Math.floor(image.width / patch),
    });
  if (stated) {
    const { rows, columns } = stated;
    const special = [...own, 0].find((count) => count + rows * columns === entries);
    if (special !== undefined) return { special, grid: { rows, columns, from: "file" } };
    throw new WeightsError(
      file,
      `pos_embed: got ${entries} entries, wanted ${rows} x ${columns} patches` +
        `${own[0]! > 0 ? ` and ${own[0]} for what stands before them` : ""}. ` +
        `Say the grid that they were trained on: ${example(file, entries, own)}.`,
    );
  }
  for (const special of specialPositions === false ? [0] : own) {
    const side = Math.sqrt(entries - special);
    if (side >= 1 && Number.isInteger(side))
      return { special, grid: { rows: side, columns: side, from: "square" } };
  }
  throw new WeightsError(
    file,
    `pos_embed: got ${entries} entries, wanted a square of patches and ${own[0]} before it; the file does ` +
      `not say how many rows and columns of patches they are. If you know, say it: ${example(file, entries, own)}.`,
  );
}

/** What could be meant, the most square grid of each reading first. */
function example(file: string, entries: number, own: readonly number[]): string {
  const grids = [...new Set([...own, 0])]
    .filter((special) => special < entries)
    .map((special) => mostSquare(entries - special));
  return grids.map((grid) => shellWord(`${file}#grid=${grid}`)).join(" or ");
}

function mostSquare(count: number): string {
  let rows = Math.floor(Math.sqrt(count));
  while (count % rows !== 0) rows -= 1;
  return `${rows}x${count / rows}`;
}
