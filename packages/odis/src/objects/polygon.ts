import { DataError, show } from "../core/index.js";
import { Crossings } from "./crossings.js";
import type { Rle } from "./rle.js";

/** x0, y0, x1, y1, ... in pixels; pixel (i, j) covers i..i+1, j..j+1. The last joins the first. */
export type Polygon = readonly number[];

/** Vertices live on a grid this many times finer than pixels. */
const FINE = 5;

/** Beyond this no number is a pixel position, and the arithmetic below would lose its exactness. */
export const FARTHEST = 1e8;

/** An outline of more points than this was not drawn by anybody. */
const MOST_POINTS = 100_000;

/** Runs that memory is kept for. */
const MOST_KEPT = 1 << 16;

/**
 * Checks COCO's list of polygons (the parts of one object).
 *
 * @throws DataError saying which part is wrong, what was found and what was wanted
 */
export function parsePolygons(value: unknown): readonly Polygon[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new DataError(`polygons: got ${show(value)}; wanted a list of [x, y, x, y, ...]`);
  }
  const parts = value.map((part: unknown, index) =>
    polygon(part, `polygon ${index + 1} of ${value.length}`),
  );
  const points = parts.reduce((sum, part) => sum + part.length / 2, 0);
  if (points > MOST_POINTS)
    throw new DataError(`polygons: got ${points} points; wanted at most ${MOST_POINTS}`);
  return parts;
}

function polygon(part: unknown, where: string): Polygon {
  if (!Array.isArray(part)) {
    throw new DataError(`${where}: got ${show(part)}; wanted [x, y, x, y, ...]`);
  }
  if (part.length % 2 !== 0) {
    throw new DataError(`${where}: got ${part.length} numbers; wanted an even count (x, y pairs)`);
  }
  if (part.length < 6) {
    throw new DataError(`${where}: got ${part.length} numbers; wanted 6 or more (three points)`);
  }
  return part.map((number: unknown, at) => {
    if (typeof number !== "number" || !(Math.abs(number) <= FARTHEST)) {
      throw new DataError(`${where}: got ${show(number)} at index ${at}; wanted a pixel position`);
    }
    return number;
  });
}

/**
 * Rasterises polygons exactly as pycocotools does; parts are united, each part by itself is
 * filled even-odd (a bow-tie has an empty crossing, not a union).
 *
 * The boundary is walked on a grid 5 times finer than pixels. Where it steps across the middle
 * of a pixel column, the column toggles between outside and inside from that row on. Instead of
 * walking every fine point this computes the crossing of each edge with each column directly,
 * so a vertex far outside the image costs nothing.
 */
export function polygonRle(parts: readonly Polygon[], width: number, height: number): Rle {
  const [only] = parts;
  const toggles =
    only && parts.length === 1
      ? togglesOf(only, width, height)
      : unitedToggles(parts, width, height);
  return { width, height, counts: runsBetween(toggles, width * height) };
}

/** Of several parts: the i-th of all starts, then the i-th of all ends, so that what overlaps is one. */
function unitedToggles(parts: readonly Polygon[], width: number, height: number): Float64Array {
  const starts: number[] = [];
  const ends: number[] = [];
  for (const part of parts) {
    const toggles = togglesOf(part, width, height);
    for (let i = 0; i < toggles.length; i += 2) {
      starts.push(toggles[i]!);
      ends.push(toggles[i + 1]!);
    }
  }
  const begin = Float64Array.from(starts).toSorted();
  const end = Float64Array.from(ends).toSorted();
  return Float64Array.from({ length: 2 * begin.length }, (_, at) =>
    at % 2 === 0 ? begin[at / 2]! : end[(at - 1) / 2]!,
  );
}

/** Of the part at hand. */
const crossings = new Crossings();

/**
 * Column-major positions x·height + y at which the scan toggles, in order; y may equal height. A closed boundary
 * crosses a column an even number of times, so neighbours pair up. Valid until the next call.
 */
function togglesOf(part: Polygon, width: number, height: number): Float64Array {
  crossings.clear();
  let [fromX, fromY] = [fine(part.at(-2)!), fine(part.at(-1)!)];
  for (let point = 0; point < part.length; point += 2) {
    const [toX, toY] = [fine(part[point]!), fine(part[point + 1]!)];
    const steep = Math.abs(toX - fromX) < Math.abs(toY - fromY);
    const ascends = steep ? fromY <= toY : fromX <= toX;
    const [x0, y0] = ascends ? [fromX, fromY] : [toX, toY];
    const [x1, y1] = ascends ? [toX, toY] : [fromX, fromY];
    const slope = steep ? (x1 - x0) / (y1 - y0) : (y1 - y0) / (x1 - x0);
    [fromX, fromY] = [toX, toY];

    const first = Math.max(0, Math.ceil((Math.min(x0, x1) - 2) / FINE));
    const last = Math.min(width - 1, Math.floor((Math.max(x0, x1) - 3) / FINE));
    if (last < first) continue;
    crossings.reserve(first, last);
    for (let x = first; x <= last; x += 1) {
      const middle = FINE * x + 2; // the step from here to middle + 1 crosses the column
      const v = steep
        ? y0 + stepsBefore(middle, x0, slope, y1 - y0)
        : Math.min(
            roundTowardsZero(y0, slope, middle - x0),
            roundTowardsZero(y0, slope, middle - x0 + 1),
          );
      const y = Math.min(Math.max((v + 0.5) / FINE - 0.5, 0), height);
      crossings.add(x, x * height + Math.ceil(y));
    }
  }
  return crossings.sorted();
}

/** C's `(int)(5 v + .5)`: towards zero, also for negatives. */
function fine(value: number): number {
  return Math.trunc(FINE * value + 0.5);
}

function roundTowardsZero(start: number, slope: number, steps: number): number {
  return Math.trunc(start + slope * steps + 0.5);
}

/** On a steep edge: the step after which the rounded x has passed from one side of the middle to the other. */
function stepsBefore(middle: number, x0: number, slope: number, steps: number): number {
  const beyond = (step: number) => x0 + slope * step + 0.5 >= middle + 1 === slope > 0;
  let step = Math.min(Math.max(Math.ceil((middle + 0.5 - x0) / slope), 1), steps);
  while (step > 1 && beyond(step - 1)) step -= 1; // the estimate is off by one at most
  while (step < steps && !beyond(step)) step += 1;
  return step - 1;
}

/** The runs of the object at hand; kept, since there are many. */
let lengths = new Uint32Array(1 << 10);

/**
 * Run lengths of the union of intervals.
 *
 * @param toggles start, end, start, end, ...: starts never fall, ends neither
 */
function runsBetween(toggles: Float64Array, size: number): Uint32Array {
  if (lengths.length <= toggles.length) lengths = new Uint32Array(2 * toggles.length);
  let [runs, begin, written] = [0, 0, 0];
  for (let i = 0; i < toggles.length; i += 2) {
    const end = toggles[i + 1]!;
    if (i === 0 || toggles[i]! > toggles[i - 1]!) begin = toggles[i]!;
    if (i + 2 < toggles.length && toggles[i + 2]! <= end) continue;
    if (end === begin) continue; // an outline along the edge of pixels holds none of them
    lengths[runs] = begin - written;
    lengths[runs + 1] = end - begin;
    runs += 2;
    written = end;
  }
  if (written < size || runs === 0) {
    lengths[runs] = size - written;
    runs += 1;
  }
  const counts = lengths.slice(0, runs);
  if (lengths.length > MOST_KEPT) lengths = new Uint32Array(MOST_KEPT);
  return counts;
}
