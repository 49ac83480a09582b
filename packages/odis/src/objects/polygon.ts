import { DataError, show } from "../core/index.js";
import type { Rle } from "./rle.js";

/** x0, y0, x1, y1, ... in pixels; pixel (i, j) covers i..i+1, j..j+1. The last joins the first. */
export type Polygon = readonly number[];

/** Vertices live on a grid this many times finer than pixels. */
const FINE = 5;

/** Beyond this no number is a pixel position, and the arithmetic below would lose its exactness. */
export const FARTHEST = 1e8;

/** An outline of more points than this was not drawn by anybody. */
const MOST_POINTS = 100_000;

/** Column crossings of one object; beyond this the outline is noise that covers a huge image. */
const MOST_CROSSINGS = 1 << 24;

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
  const starts: number[] = [];
  const ends: number[] = [];
  for (const part of parts) {
    // A closed boundary crosses a column an even number of times, so sorted neighbours pair up.
    const toggles = Float64Array.from(columnCrossings(part, width, height)).toSorted();
    for (let i = 0; i < toggles.length; i += 2) {
      if (toggles[i + 1]! > toggles[i]!) {
        starts.push(toggles[i]!);
        ends.push(toggles[i + 1]!);
      }
    }
  }
  return { width, height, counts: uniteRuns(starts, ends, width * height) };
}

/** Column-major positions x·height + y at which the scan toggles; y may equal height. */
function columnCrossings(part: Polygon, width: number, height: number): number[] {
  const crossings: number[] = [];
  const points = part.length / 2;
  for (let i = 0; i < points; i += 1) {
    const j = (i + 1) % points;
    const from = [fine(part[2 * i]!), fine(part[2 * i + 1]!)] as const;
    const to = [fine(part[2 * j]!), fine(part[2 * j + 1]!)] as const;
    const steep = Math.abs(to[0] - from[0]) < Math.abs(to[1] - from[1]);
    const ascends = steep ? from[1] <= to[1] : from[0] <= to[0];
    const [[x0, y0], [x1, y1]] = ascends ? [from, to] : [to, from];
    const slope = steep ? (x1 - x0) / (y1 - y0) : (y1 - y0) / (x1 - x0);

    const first = Math.max(0, Math.ceil((Math.min(x0, x1) - 2) / FINE));
    const last = Math.min(width - 1, Math.floor((Math.max(x0, x1) - 3) / FINE));
    for (let x = first; x <= last; x += 1) {
      const middle = FINE * x + 2; // the step from here to middle + 1 crosses the column
      const v = steep
        ? y0 + stepsBefore(middle, x0, slope, y1 - y0)
        : Math.min(
            roundTowardsZero(y0, slope, middle - x0),
            roundTowardsZero(y0, slope, middle - x0 + 1),
          );
      const y = Math.min(Math.max((v + 0.5) / FINE - 0.5, 0), height);
      crossings.push(x * height + Math.ceil(y));
    }
    if (crossings.length > MOST_CROSSINGS)
      throw new DataError(
        `polygons: the outline crosses ${MOST_CROSSINGS} columns; wanted a shape`,
      );
  }
  return crossings;
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

/** Run lengths of the union of intervals [start, end). */
function uniteRuns(starts: readonly number[], ends: readonly number[], size: number): Uint32Array {
  const order = starts.map((_, index) => index).toSorted((a, b) => starts[a]! - starts[b]!);
  const counts: number[] = [];
  let begin = 0;
  let end = 0;
  let written = 0;
  const flush = () => {
    if (end > begin) {
      counts.push(begin - written, end - begin);
      written = end;
    }
  };
  for (const index of order) {
    if (starts[index]! > end) {
      flush();
      begin = starts[index]!;
    }
    end = Math.max(end, ends[index]!);
  }
  flush();
  if (written < size || counts.length === 0) counts.push(size - written);
  return Uint32Array.from(counts);
}
