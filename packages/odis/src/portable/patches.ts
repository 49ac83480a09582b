/** How a patch comes to be visible to the object's token. */
export interface VisibleRule {
  /**
   * `any`: one object pixel is enough; `coverage`: at least this share of its pixels;
   * `boxes`: patches with any pixel, then the rectangle round each connected group of them.
   */
  readonly rule: "any" | "coverage" | "boxes";
  /** Share of a patch's pixels, (0, 1]; read by `coverage`. */
  readonly coverage: number;
  /** Patches added on each side of a rectangle; read by `boxes`. */
  readonly margin: number;
}

/**
 * Which patches the object's token may look at.
 *
 * @param counts object pixels in each patch, [rows, columns]
 * @param patch side of a patch, pixels
 * @param out [rows, columns], overwritten: 1 = visible
 * @returns how many are visible
 */
export function visiblePatches(
  counts: Int32Array,
  columns: number,
  rows: number,
  patch: number,
  { rule, coverage, margin }: VisibleRule,
  out: Uint8Array,
): number {
  const least = rule === "coverage" ? Math.max(1, coverage * patch * patch) : 1;
  for (const [index, count] of counts.entries()) out[index] = count >= least ? 1 : 0;
  if (rule === "boxes") fillRectangles(out, columns, rows, margin);
  return out.reduce((sum, bit) => sum + bit, 0);
}

/** Bits, 0 or 1, as a short text: base64, the first one lowest. */
export function packedBits(bits: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (const [at, bit] of bits.entries()) bytes[at >> 3]! |= bit << (at & 7);
  return btoa(String.fromCharCode(...bytes));
}

/** @param count how many bits there were */
export function unpackedBits(text: string, count: number): Uint8Array {
  const bytes = atob(text);
  return Uint8Array.from({ length: count }, (_, at) => (bytes.charCodeAt(at >> 3) >> (at & 7)) & 1);
}

/** Shares of attention, 0..1, as `AttentionMaps` has them: per mille, to a tenth. */
export const perMille = (shares: Float32Array): number[] =>
  Array.from(shares, (share) => Math.round(1e4 * share) / 10);

/** Replaces each 8-connected group of ones by its bounding rectangle, grown by a margin. */
function fillRectangles(grid: Uint8Array, columns: number, rows: number, margin: number): void {
  const open = grid.slice();
  for (let start = 0; start < open.length; start += 1) {
    if (!open[start]) continue;
    let [left, top, right, bottom] = [columns, rows, 0, 0];
    const stack = [start];
    open[start] = 0;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      const [y, x] = [Math.floor(at / columns), at % columns];
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
      for (let ny = Math.max(0, y - 1); ny <= Math.min(rows - 1, y + 1); ny += 1) {
        for (let nx = Math.max(0, x - 1); nx <= Math.min(columns - 1, x + 1); nx += 1) {
          if (open[ny * columns + nx]) {
            open[ny * columns + nx] = 0;
            stack.push(ny * columns + nx);
          }
        }
      }
    }
    for (let y = Math.max(0, top - margin); y <= Math.min(rows - 1, bottom + margin); y += 1) {
      const begin = y * columns + Math.max(0, left - margin);
      grid.fill(1, begin, y * columns + Math.min(columns - 1, right + margin) + 1);
    }
  }
}

/**
 * Object pixels in each patch.
 *
 * @param pixels mask, height × width row-major, 0/1; both sides are multiples of `patch`
 * @returns [height/patch, width/patch], row-major
 */
export function patchCounts(
  pixels: Uint8Array,
  width: number,
  height: number,
  patch: number,
): Int32Array {
  const columns = width / patch;
  const counts = new Int32Array(columns * (height / patch));
  for (let y = 0; y < height; y += 1) {
    const row = Math.floor(y / patch) * columns;
    for (let column = 0; column < columns; column += 1) {
      const begin = y * width + column * patch;
      let sum = 0;
      for (let at = begin; at < begin + patch; at += 1) sum += pixels[at]!;
      counts[row + column]! += sum;
    }
  }
  return counts;
}
