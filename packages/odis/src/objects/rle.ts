import { DataError, show } from "../core/index.js";
import type { Box } from "./object.js";

/**
 * A binary mask as run lengths, COCO's way: the image is read column by column, the first run
 * counts pixels outside the mask (it may be 0), then inside and outside alternate.
 */
export interface Rle {
  readonly width: number;
  readonly height: number;
  /** Sums to width × height. */
  readonly counts: Uint32Array;
}

/**
 * Checks and reads COCO's `{ size: [height, width], counts }`, with `counts` as numbers
 * ("uncompressed") or as text ("compressed").
 *
 * @throws DataError saying what was found and what was wanted
 */
export function parseRle(value: unknown, width: number, height: number): Rle {
  if (typeof value !== "object" || value === null || !("counts" in value)) {
    throw new DataError(`RLE: got ${show(value)}; wanted { size: [height, width], counts }`);
  }
  const size: unknown = "size" in value ? value.size : undefined;
  if (!Array.isArray(size) || size.length !== 2 || size[0] !== height || size[1] !== width) {
    throw new DataError(
      `RLE size: got ${show(size)}; wanted [${height}, ${width}], the image's height and width`,
    );
  }
  const { counts } = value;
  if (typeof counts === "string") return checkedRle(parseCounts(counts), width, height);
  if (Array.isArray(counts)) return checkedRle(counts, width, height);
  throw new DataError(`RLE counts: got ${show(counts)}; wanted numbers or a compressed string`);
}

/**
 * The numbers in a compressed counts string: base-32 digits from character 48 on, lowest first,
 * 32 marks that more follow, bit 16 of the last digit is the sign; from the fourth count on the
 * difference to the count two before is stored.
 *
 * @throws DataError for a foreign character or a string that ends within a number
 */
export function parseCounts(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    let weight = 1;
    let digit: number;
    do {
      if (at >= text.length) {
        throw new DataError(`RLE counts: the string of ${text.length} characters ends in a number`);
      }
      if (weight > 2 ** 35) {
        throw new DataError(`RLE counts: the number before position ${at} has too many digits`);
      }
      digit = text.charCodeAt(at) - 48;
      if (digit < 0 || digit > 63) {
        throw new DataError(
          `RLE counts: got ${show(text[at])} at position ${at}; wanted characters "0" to "o"`,
        );
      }
      value += (digit & 31) * weight;
      weight *= 32;
      at += 1;
    } while (digit & 32);
    if (digit & 16) value -= weight;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2]! : value);
  }
  return counts;
}

/** The inverse of {@link parseCounts}. */
export function formatCounts(counts: ArrayLike<number>): string {
  let text = "";
  for (let i = 0; i < counts.length; i += 1) {
    let value = i > 2 ? counts[i]! - counts[i - 2]! : counts[i]!;
    for (let more = true; more; ) {
      const digit = ((value % 32) + 32) % 32;
      value = Math.floor(value / 32);
      more = digit & 16 ? value !== -1 : value !== 0;
      text += String.fromCharCode(48 + digit + (more ? 32 : 0));
    }
  }
  return text;
}

/** @param mask row-major, height × width; anything but 0 is inside */
export function rleFromMask(mask: Uint8Array, width: number, height: number): Rle {
  const counts: number[] = [];
  let inside = false;
  let length = 0;
  for (let x = 0; x < width; x += 1) {
    for (let at = x; at < width * height; at += width) {
      if (mask[at]! > 0 !== inside) {
        counts.push(length);
        length = 0;
        inside = !inside;
      }
      length += 1;
    }
  }
  counts.push(length);
  return { width, height, counts: Uint32Array.from(counts) };
}

/** Row-major, height × width, 1 inside. */
export function rleToMask({ width, height, counts }: Rle): Uint8Array {
  const mask = new Uint8Array(width * height);
  let position = 0;
  for (let run = 0; run < counts.length; run += 1) {
    const end = position + counts[run]!;
    if (run % 2 === 1) {
      let x = Math.floor(position / height);
      let y = position - x * height;
      for (let left = end - position; left > 0; left -= 1) {
        mask[y * width + x] = 1;
        y += 1;
        if (y === height) {
          y = 0;
          x += 1;
        }
      }
    }
    position = end;
  }
  return mask;
}

/** Pixels inside. */
export function rleArea({ counts }: Rle): number {
  let area = 0;
  for (let run = 1; run < counts.length; run += 2) area += counts[run]!;
  return area;
}

/** Pixels inside of both of two masks of one size. */
export function rleShared({ counts: a }: Rle, { counts: b }: Rle): number {
  let shared = 0;
  let [atA, atB] = [0, 0];
  let [leftA, leftB] = [a[0] ?? 0, b[0] ?? 0];
  while (atA < a.length && atB < b.length) {
    const step = Math.min(leftA, leftB);
    if (atA % 2 === 1 && atB % 2 === 1) shared += step;
    leftA -= step;
    leftB -= step;
    if (leftA === 0) leftA = a[(atA += 1)] ?? 0;
    if (leftB === 0) leftB = b[(atB += 1)] ?? 0;
  }
  return shared;
}

/** Intersection over union of two masks of one size, 0..1; 0 when both are empty. */
export function rleIou(a: Rle, b: Rle): number {
  const shared = rleShared(a, b);
  return shared === 0 ? 0 : shared / (rleArea(a) + rleArea(b) - shared);
}

/** The smallest box round the mask; all zero when the mask is empty. */
export function rleBox({ height, counts }: Rle): Box {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  let position = 0;
  for (let run = 0; run < counts.length; run += 1) {
    const length = counts[run]!;
    if (run % 2 === 1 && length > 0) {
      const last = position + length - 1;
      const [firstX, lastX] = [Math.floor(position / height), Math.floor(last / height)];
      left = Math.min(left, firstX);
      right = Math.max(right, lastX);
      const spansColumns = lastX > firstX; // then it touches both the lower and the upper edge
      top = Math.min(top, spansColumns ? 0 : position % height);
      bottom = Math.max(bottom, spansColumns ? height - 1 : last % height);
    }
    position += length;
  }
  if (right < 0) return { x: 0, y: 0, width: 0, height: 0 };
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/** @throws DataError when the runs are no whole numbers, or add up to another size */
export function checkedRle(counts: readonly unknown[], width: number, height: number): Rle {
  let sum = 0;
  const checked = new Uint32Array(counts.length);
  for (const [index, count] of counts.entries()) {
    if (typeof count !== "number" || !Number.isInteger(count) || count < 0) {
      throw new DataError(
        `RLE counts: got ${show(count)} at index ${index}; wanted whole numbers, 0 or more`,
      );
    }
    checked[index] = count; // one too large for 32 bits fails the sum below
    sum += count;
  }
  if (sum !== width * height) {
    throw new DataError(
      `RLE counts: they add up to ${sum} pixels; wanted ${width * height}, ` +
        `the image's ${width} × ${height}`,
    );
  }
  return { width, height, counts: checked };
}
