import { DataError, show } from "../core/index.js";
import { boxRle, type DrawMask, type SceneObject } from "./object.js";
import { parsePolygons, polygonRle } from "./polygon.js";
import { parseRle, type Rle, rleArea, rleBox, rleFromMask, rleToMask } from "./rle.js";

/** Size of the image that masks are drawn on, pixels. */
export interface Frame {
  readonly width: number;
  readonly height: number;
}

/** What is known of an object beside its mask. */
export interface ObjectFacts {
  /** default 0; tell the objects of one image apart by it */
  readonly id?: number | undefined;
  /** index into the source's classes; default -1, unknown */
  readonly label?: number | undefined;
  /** how sure whoever found it was, 0..1; leave it out for annotations by people */
  readonly score?: number | undefined;
}

/** An object that keeps its runs and rasterises on demand: a data set's masks stay small. */
export function objectFromRuns(rle: Rle, facts: ObjectFacts = {}): SceneObject {
  const { id = 0, label = -1, score } = facts;
  const mask = { area: rleArea(rle), box: rleBox(rle), pixels: drawFrom(rle) };
  return { id, label, ...(score === undefined ? {} : { score }), ...mask };
}

/** What draws a mask that is kept as runs. */
export function drawFrom(runs: Rle): DrawMask {
  return Object.assign(() => rleToMask(runs), { runs });
}

/** An object's mask as runs, those that it keeps or else of its pixels. */
export function runsOfObject(object: Pick<SceneObject, "pixels">, { width, height }: Frame): Rle {
  return object.pixels.runs ?? rleFromMask(object.pixels(), width, height);
}

/**
 * @param polygons the object's parts, each [x, y, x, y, …] in pixels, as COCO writes them
 * @throws DataError saying which part is wrong
 */
export function objectFromPolygons(
  polygons: readonly (readonly number[])[],
  frame: Frame,
  facts?: ObjectFacts,
): SceneObject {
  checkFrame(frame);
  const outline = parsePolygons(polygons);
  return { ...objectFromRuns(polygonRle(outline, frame.width, frame.height), facts), outline };
}

/**
 * @param rle COCO's run lengths, compressed or not
 * @throws DataError saying what was found and what was wanted
 */
export function objectFromRle(
  rle: { readonly size: readonly number[]; readonly counts: string | readonly number[] },
  frame: Frame,
  facts?: ObjectFacts,
): SceneObject {
  checkFrame(frame);
  return objectFromRuns(parseRle(rle, frame.width, frame.height), facts);
}

/**
 * A box becomes a filled mask.
 *
 * @param box [x, y, width, height] in pixels, fractions allowed
 * @throws DataError when it is not four numbers with a positive width and height
 */
export function objectFromBox(
  box: readonly number[],
  frame: Frame,
  facts?: ObjectFacts,
): SceneObject {
  checkFrame(frame);
  return objectFromRuns(boxRle(box, frame.width, frame.height), facts);
}

/**
 * @param pixels height × width, row-major; anything but 0 is inside
 * @throws DataError when their number is another
 */
export function objectFromPixels(
  pixels: Uint8Array,
  frame: Frame,
  facts?: ObjectFacts,
): SceneObject {
  checkFrame(frame);
  checkLength(pixels, frame);
  return objectFromRuns(rleFromMask(pixels, frame.width, frame.height), facts);
}

export interface LabelMapOptions {
  /** values that are no object; default 0 */
  readonly ignore?: readonly number[] | undefined;
  /** the label of a value; default: unknown */
  readonly label?: ((value: number) => number) | undefined;
}

/** A map with more values than this is a photograph. */
const MOST_VALUES = 10_000;

/**
 * The objects of a label map, one for each value in it, in the order of values; its id is the value.
 *
 * @param values height × width, row-major
 * @throws DataError when their number is another, or when there are more than 10,000 different ones
 */
export function objectsFromLabelMap(
  values: ArrayLike<number>,
  frame: Frame,
  { ignore = [0], label = () => -1 }: LabelMapOptions = {},
): SceneObject[] {
  checkFrame(frame);
  checkLength(values, frame);
  const runs = runsOfValues(values, frame, new Set(ignore));
  return [...runs]
    .toSorted(([a], [b]) => a - b)
    .map(([value, rle]) => objectFromRuns(rle, { id: value, label: label(value) }));
}

/** Masks of all values of a map but some, in one walk over its columns. */
export function runsOfValues(
  values: ArrayLike<number>,
  { width, height }: Frame,
  ignore: ReadonlySet<number>,
): Map<number, Rle> {
  const found = new Map<number, { counts: number[]; end: number }>();
  const close = (value: number, start: number, end: number) => {
    if (ignore.has(value)) return;
    const runs = found.get(value);
    if (!runs) {
      if (found.size === MOST_VALUES)
        throw new DataError(
          `label map: more than ${MOST_VALUES} different values; wanted one for each object or class`,
        );
      found.set(value, { counts: [start, end - start], end });
    } else {
      runs.counts.push(start - runs.end, end - start);
      runs.end = end;
    }
  };
  let [start, position] = [0, 0];
  let value = values[0]!;
  for (let x = 0; x < width; x += 1) {
    for (let at = x; at < width * height; at += width) {
      if (values[at]! !== value) {
        close(value, start, position);
        [start, value] = [position, values[at]!];
      }
      position += 1;
    }
  }
  close(value, start, position);
  return new Map(
    [...found].map(([key, { counts, end }]) => {
      if (end < position) counts.push(position - end);
      return [key, { width, height, counts: Uint32Array.from(counts) }];
    }),
  );
}

function checkFrame({ width, height }: Frame): void {
  const isSide = (side: number) => Number.isInteger(side) && side >= 1;
  if (isSide(width) && isSide(height)) return;
  throw new DataError(
    `mask: the image's width and height are ${show(width)} and ${show(height)}; wanted whole numbers ` +
      `of pixels, 1 or more`,
  );
}

function checkLength({ length }: ArrayLike<number>, { width, height }: Frame): void {
  if (length === width * height) return;
  throw new DataError(
    `mask: got ${length} values; wanted ${width * height}, the image's ${width} × ${height}`,
  );
}
