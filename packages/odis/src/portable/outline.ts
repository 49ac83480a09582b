import type { Size } from "./geometry.js";

/** Cells of an outline's grid along the longer side of a picture. */
const CELLS = 160;

/**
 * The outline of a mask as an SVG path in the picture's pixels. Drawn on a coarse grid: nobody sees more
 * of it, and a path stays short.
 *
 * @param pixels [height × width], 1 = inside
 */
export function outlineOf(pixels: Uint8Array, { width, height }: Size): string {
  const cell = Math.ceil(Math.max(width, height) / CELLS);
  const [columns, rows] = [Math.ceil(width / cell), Math.ceil(height / cell)];
  const bits = new Uint8Array(columns * rows);
  for (let row = 0; row < rows; row += 1) {
    const y = Math.min(height - 1, Math.floor((row + 0.5) * cell));
    for (let column = 0; column < columns; column += 1)
      bits[row * columns + column] =
        pixels[y * width + Math.min(width - 1, Math.floor((column + 0.5) * cell))]!;
  }
  return outline(bits, columns, rows, cell);
}

/**
 * The outline of a region of grid cells as an SVG path: one straight piece for each row of cell edges
 * that have the region on one side only.
 *
 * @param bits [rows, columns], 1 = in the region
 * @param cell side of a cell in drawing units
 */
export function outline(
  bits: ArrayLike<number>,
  columns: number,
  rows: number,
  cell: number,
): string {
  const at = (x: number, y: number): number =>
    x < 0 || y < 0 || x >= columns || y >= rows ? 0 : bits[y * columns + x]!;
  const across = runs(rows + 1, columns, (y, x) => at(x, y) !== at(x, y - 1));
  const down = runs(columns + 1, rows, (x, y) => at(x, y) !== at(x - 1, y));
  return [
    ...across.map(({ line, from, length }) => `M${from * cell},${line * cell}h${length * cell}`),
    ...down.map(({ line, from, length }) => `M${line * cell},${from * cell}v${length * cell}`),
  ].join("");
}

/** Unbroken rows of edges on each of some parallel lines. */
function runs(lines: number, cells: number, isEdge: (line: number, at: number) => boolean) {
  const found: { readonly line: number; readonly from: number; length: number }[] = [];
  for (let line = 0; line < lines; line += 1) {
    let open: (typeof found)[number] | undefined;
    for (let at = 0; at < cells; at += 1) {
      if (!isEdge(line, at)) open = undefined;
      else if (open) open.length += 1;
      else found.push((open = { line, from: at, length: 1 }));
    }
  }
  return found;
}
