import { type Rle, rleFromMask } from "../objects/index.js";

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * The connected regions of a mask (neighbours share an edge) as lists of their pixels' indices, the
 * largest first.
 *
 * @param inside height × width, anything but 0 is inside
 */
export function regionsOf(inside: Uint8Array, { width, height }: Size): Int32Array[] {
  const open = inside.slice();
  const queue = new Int32Array(width * height);
  const regions: Int32Array[] = [];
  let end = 0;
  const visit = (at: number) => {
    if (open[at] === 0) return;
    open[at] = 0;
    queue[end] = at;
    end += 1;
  };
  for (let start = 0; start < open.length; start += 1) {
    end = 0;
    visit(start);
    for (let next = 0; next < end; next += 1) {
      const at = queue[next]!;
      const x = at % width;
      if (x > 0) visit(at - 1);
      if (x < width - 1) visit(at + 1);
      if (at >= width) visit(at - width);
      if (at + width < open.length) visit(at + width);
    }
    if (end > 0) regions.push(queue.slice(0, end));
  }
  return regions.toSorted((a, b) => b.length - a.length);
}

/** The mask of some pixels. */
export function maskOfPixels(pixels: Int32Array, { width, height }: Size): Rle {
  const mask = new Uint8Array(width * height);
  for (const at of pixels) mask[at] = 1;
  return rleFromMask(mask, width, height);
}
