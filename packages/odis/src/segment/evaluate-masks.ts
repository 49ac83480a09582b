import { type DataSource, masksOf, openMasks } from "../data/index.js";
import { type Estimate, imageDraws, limits, weightedSum } from "../evaluate/index.js";
import {
  type Box,
  boxIou,
  objectFromRuns,
  type Rle,
  rleFromMask,
  rleIou,
  runsOfObject,
} from "../objects/index.js";
import { BadImageError, DataError, plain } from "../core/index.js";

/** How well masks agree with what people drew. Means over objects or images, 0..1, with intervals. */
export interface MaskQuality {
  /** pictures in which people drew something, and which the file of masks knows */
  readonly images: number;
  /** objects that people drew, and that the file holds, in these */
  readonly annotated: number;
  readonly found: number;
  readonly figures: Readonly<Record<FigureName, Estimate>>;
}

/** What is measured, in the order of tables. */
export const figures = {
  overlap: "best overlap of an annotated object with a mask (IoU), mean over objects",
  recall: "annotated objects that a mask overlaps by half or more",
  boxRecall: "the same of boxes",
  precision: "masks that overlap an annotated object by half or more",
  corLoc: "images whose surest box overlaps an annotated one by half or more",
  foreground:
    "overlap of all masks together with all annotated objects together (IoU), mean over images",
} as const;
export type FigureName = keyof typeof figures;

/** Intersection over union from which on two count as one. */
const SAME = 0.5;

interface Thing {
  readonly mask: Rle;
  readonly box: Box;
}

/** Sums over an image's observations, and how many there were. */
type Sums = Readonly<Record<FigureName, readonly [sum: number, count: number]>>;

/**
 * Compares a file of masks with a data set's own objects, classes aside.
 *
 * @throws DataError when the two share no picture with an object
 */
export async function evaluateMasks(
  file: string,
  source: DataSource,
  onProgress?: (done: number, of: number) => void,
): Promise<MaskQuality> {
  const masks = await openMasks(file);
  const rows: Sums[] = [];
  let [annotated, found] = [0, 0];
  for (let image = 0; image < source.size; image += 1) {
    onProgress?.(image + 1, source.size);
    const at = masks.find(source.key(image));
    if (at === undefined) continue;
    const sample = await source.read(image).catch((error: unknown) => {
      if (error instanceof BadImageError) return undefined;
      throw error;
    });
    if (!sample || sample.objects.length === 0) continue;
    const { width, height } = sample;
    const things = (objects: typeof sample.objects): Thing[] =>
      objects.map((object) => ({
        mask: runsOfObject(object, sample),
        box: object.box,
      }));
    const known = { width: masks.index.widths[at]!, height: masks.index.heights[at]! };
    if (known.width !== width || known.height !== height)
      throw new DataError(
        `masks ${plain(file)}: those of ${plain(sample.key)} are for ${known.width} × ${known.height} pixels; ` +
          `the picture has ${width} × ${height}`,
      );
    const predicted = masksOf(masks, at, sample).toSorted(
      (a, b) => (b.score ?? 1) - (a.score ?? 1),
    );
    rows.push(compare(things(sample.objects), things(predicted), width, height));
    annotated += sample.objects.length;
    found += predicted.length;
  }
  if (rows.length === 0)
    throw new DataError(
      `masks ${plain(file)}: share no picture with the data set in which an object is annotated`,
    );
  const estimates = Object.keys(figures).map((name) => {
    const sums = rows.map((row) => row[name as FigureName]);
    return [name, estimateOf(sums)] as const;
  });
  return {
    images: rows.length,
    annotated,
    found,
    figures: Object.fromEntries(estimates) as Record<FigureName, Estimate>,
  };
}

/** @param found the surest first */
function compare(
  annotated: readonly Thing[],
  found: readonly Thing[],
  width: number,
  height: number,
): Sums {
  const overlaps = annotated.map(({ mask }) => best(found, (other) => rleIou(mask, other.mask)));
  const boxes = annotated.map(({ box }) => best(found, (other) => boxIou(box, other.box)));
  const right = found.filter(
    ({ mask }) => best(annotated, (other) => rleIou(mask, other.mask)) >= SAME,
  );
  const [surest] = found;
  const hits = surest && best(annotated, ({ box }) => boxIou(box, surest.box)) >= SAME;
  const count = annotated.length;
  return {
    overlap: [overlaps.reduce((a, b) => a + b, 0), count],
    recall: [overlaps.filter((overlap) => overlap >= SAME).length, count],
    boxRecall: [boxes.filter((overlap) => overlap >= SAME).length, count],
    precision: [right.length, found.length],
    corLoc: [Number(hits === true), 1],
    foreground: [rleIou(united(annotated, width, height), united(found, width, height)), 1],
  };
}

const best = (things: readonly Thing[], overlap: (thing: Thing) => number): number =>
  things.reduce((most, thing) => Math.max(most, overlap(thing)), 0);

function united(things: readonly Thing[], width: number, height: number): Rle {
  const all = new Uint8Array(width * height);
  for (const { mask } of things) {
    const pixels = objectFromRuns(mask).pixels();
    for (let at = 0; at < all.length; at += 1) all[at]! |= pixels[at]!;
  }
  return rleFromMask(all, width, height);
}

/** A mean with its 95 % bootstrap interval over images. */
function estimateOf(rows: readonly (readonly [sum: number, count: number])[]): Estimate {
  const flat = Float64Array.from(rows.flat());
  const mean = (weights?: Uint8Array): number => {
    const [sum, count] = weightedSum(flat, 2, weights);
    return sum! / count!;
  };
  const n = rows.reduce((all, [, count]) => all + count, 0);
  return { value: mean(), ...limits(imageDraws(rows.length, 0).map(mean)), n };
}
