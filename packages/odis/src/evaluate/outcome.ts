import { createHash } from "node:crypto";
import { z } from "zod";
import { readOwnText, replaceText, RunError } from "../core/index.js";
import type { Item } from "../features/index.js";

/** What became of each test item: what a share was counted from. */
export interface ShareOutcome {
  readonly kind: "share";
  /** [n] 1 = right, 0 = wrong */
  readonly hits: Uint8Array;
  /** [n] name of the image that an item belongs to */
  readonly images: readonly string[];
}

/** How well each query was answered: what a mean of such figures was computed from. */
export interface MeanOutcome {
  readonly kind: "mean";
  /** [n] 0..1 */
  readonly values: Float64Array;
  /** [n] name of the image that a query belongs to */
  readonly images: readonly string[];
}

/** What became of each test image's pixels: what a mean intersection over union was counted from. */
export interface IouOutcome {
  readonly kind: "iou";
  /** [n] names, each once */
  readonly images: readonly string[];
  readonly classes: number;
  /** [n, classes] pixels */
  readonly intersections: Int32Array;
  /** [n, classes] pixels */
  readonly unions: Int32Array;
}

/** How far guesses of test items' numbers were off: what an R² was computed from. */
export interface FitOutcome {
  readonly kind: "fit";
  /** [n] name of the image that an item belongs to */
  readonly images: readonly string[];
  /** [n] squared errors of the guesses */
  readonly errors: Float64Array;
  /** [n] squared errors of the bank's mean, the guess without any feature */
  readonly deviations: Float64Array;
}

export type Outcome = ShareOutcome | MeanOutcome | IouOutcome | FitOutcome;

/**
 * The image that each item belongs to, by name. Images that show the same picture have the name of
 * the first: what happens in one happens in the other.
 */
export function imageNames(items: readonly Pick<Item, "key" | "picture">[]): readonly string[] {
  const names = new Map<number, string>();
  return items.map(({ key, picture }) => {
    if (!names.has(picture)) names.set(picture, key);
    return names.get(picture)!;
  });
}

/** A measurement before its interval. */
export type Measured = readonly [name: string, outcome: Outcome];

/** An outcome as numbers per image that may be added up over images before they are scored. */
export interface ImageCounts {
  /** each once, in order of first appearance */
  readonly images: readonly string[];
  readonly width: number;
  /** [images, width] */
  readonly sums: Float64Array;
  /** observations: items of a share, a mean or a fit, images of an IoU */
  readonly n: number;
}

export function imageCounts(outcome: Outcome): ImageCounts {
  const { images } = outcome;
  if (outcome.kind !== "iou") {
    const [counted, of] = countsOf(outcome);
    const rows = new Map<string, number>();
    for (const image of images) if (!rows.has(image)) rows.set(image, rows.size);
    const sums = new Float64Array(2 * rows.size);
    for (const [item, image] of images.entries()) {
      const at = 2 * rows.get(image)!;
      sums[at]! += counted[item]!;
      sums[at + 1]! += of ? of[item]! : 1;
    }
    return { images: [...rows.keys()], width: 2, sums, n: images.length };
  }
  const { classes, intersections, unions } = outcome;
  const sums = new Float64Array(2 * intersections.length);
  for (let at = 0, row = 0; row < images.length; row += 1, at += 2 * classes) {
    sums.set(intersections.subarray(row * classes, (row + 1) * classes), at);
    sums.set(unions.subarray(row * classes, (row + 1) * classes), at + classes);
  }
  return { images, width: 2 * classes, sums, n: images.length };
}

/** What each item adds to the first sum, and to the second: 1, or what is given. */
function countsOf(
  outcome: Exclude<Outcome, IouOutcome>,
): readonly [counted: ArrayLike<number>, of: ArrayLike<number> | undefined] {
  if (outcome.kind === "share") return [outcome.hits, undefined];
  if (outcome.kind === "mean") return [outcome.values, undefined];
  return [outcome.errors, outcome.deviations];
}

/**
 * The measure of summed counts, at most 1. Mean: the values' sum / items. Share: hits / items. Fit: R² = 1 - errors / deviations,
 * below 0 where the bank's mean guesses better. IoU: the mean over the classes that
 * occur in truth or prediction of intersection / union (mmsegmentation, iBOT); NaN without any.
 */
export function score(kind: Outcome["kind"], sums: Float64Array): number {
  if (kind === "share" || kind === "mean") return sums[0]! / sums[1]!;
  if (kind === "fit") return 1 - sums[0]! / sums[1]!;
  const classes = sums.length / 2;
  let total = 0;
  let present = 0;
  for (let c = 0; c < classes; c += 1) {
    if (sums[classes + c] === 0) continue;
    total += sums[c]! / sums[classes + c]!;
    present += 1;
  }
  return total / present;
}

/** What became of every test item, by the name of its measurement. */
export type Outcomes = ReadonlyMap<string, Outcome>;

/**
 * `outcomes.json`: names of images once, lists of items as indices into them, hits as bits. All
 * numbers are base64 of little-endian int32, except hits (bit i of byte b is item 8 b + i) and the
 * float64 of means and fits.
 */
const fileSchema = z.strictObject({
  version: z.literal(1),
  images: z.array(z.string()),
  /** [n] indices into `images`; several measurements share a list */
  lists: z.array(z.base64()),
  shares: z.record(z.string(), z.strictObject({ list: z.int(), hits: z.base64() })),
  means: z.record(z.string(), z.strictObject({ list: z.int(), values: z.base64() })).default({}),
  fits: z
    .record(
      z.string(),
      z.strictObject({ list: z.int(), errors: z.base64(), deviations: z.base64() }),
    )
    .default({}),
  ious: z.record(
    z.string(),
    z.strictObject({
      list: z.int(),
      classes: z.int(),
      intersections: z.base64(),
      unions: z.base64(),
    }),
  ),
});
type OutcomesFile = z.infer<typeof fileSchema>;

/** @returns the file's SHA-256, hex, by which `evaluation.json` knows it */
export function writeOutcomes(path: string, outcomes: Outcomes): string {
  const text = `${JSON.stringify(toFile(outcomes))}\n`;
  replaceText(path, text);
  return sha256(text);
}

/**
 * @param digest what {@link writeOutcomes} gave back
 * @throws RunError when the file is missing, damaged, or another evaluation's
 */
export function readOutcomes(path: string, digest: string): Outcomes {
  const text = readOwnText(path);
  if (text === undefined)
    throw new RunError(`${path}: does not exist, but evaluation.json needs it; evaluate again.`);
  if (sha256(text) !== digest)
    throw new RunError(
      `${path}: is not the file that was written with evaluation.json; evaluate again.`,
    );
  return fromFile(fileSchema.parse(JSON.parse(text)));
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function toFile(outcomes: Outcomes): OutcomesFile {
  const images = new Map<string, number>();
  const lists = new Map<string, number>();
  const numbered = (names: readonly string[]): number => {
    const indices = Int32Array.from(names, (name) => {
      if (!images.has(name)) images.set(name, images.size);
      return images.get(name)!;
    });
    const list = base64(indices);
    if (!lists.has(list)) lists.set(list, lists.size);
    return lists.get(list)!;
  };
  const shares: OutcomesFile["shares"] = {};
  const ious: OutcomesFile["ious"] = {};
  const means: OutcomesFile["means"] = {};
  const fits: OutcomesFile["fits"] = {};
  for (const [name, outcome] of outcomes) {
    const list = numbered(outcome.images);
    if (outcome.kind === "share") shares[name] = { list, hits: base64(packBits(outcome.hits)) };
    else if (outcome.kind === "mean") means[name] = { list, values: base64(outcome.values) };
    else if (outcome.kind === "fit")
      fits[name] = {
        list,
        errors: base64(outcome.errors),
        deviations: base64(outcome.deviations),
      };
    else {
      const { classes, intersections, unions } = outcome;
      ious[name] = {
        list,
        classes,
        intersections: base64(intersections),
        unions: base64(unions),
      };
    }
  }
  return {
    version: 1,
    images: [...images.keys()],
    lists: [...lists.keys()],
    shares,
    means,
    fits,
    ious,
  };
}

function fromFile(file: OutcomesFile): Outcomes {
  const lists = file.lists.map((list) => Array.from(integers(list), (at) => file.images[at]!));
  const shares = Object.entries(file.shares).map(([name, { list, hits }]) => {
    const images = lists[list]!;
    const bits = Buffer.from(hits, "base64");
    return [name, { kind: "share", images, hits: unpackBits(bits, images.length) }] as const;
  });
  const ious = Object.entries(file.ious).map(([name, { list, classes, ...counts }]) => {
    const [intersections, unions] = [integers(counts.intersections), integers(counts.unions)];
    return [name, { kind: "iou", images: lists[list]!, classes, intersections, unions }] as const;
  });
  const fits = Object.entries(file.fits).map(([name, { list, errors, deviations }]) => {
    const images = lists[list]!;
    return [
      name,
      { kind: "fit", images, errors: floats(errors), deviations: floats(deviations) },
    ] as const;
  });
  const means = Object.entries(file.means).map(
    ([name, { list, values }]) =>
      [name, { kind: "mean", images: lists[list]!, values: floats(values) }] as const,
  );
  return new Map<string, Outcome>([...shares, ...means, ...fits, ...ious]);
}

function packBits(bits: Uint8Array): Uint8Array {
  const packed = new Uint8Array(Math.ceil(bits.length / 8));
  for (const [at, bit] of bits.entries()) packed[at >> 3]! |= bit << (at & 7);
  return packed;
}

function unpackBits(packed: Uint8Array, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (packed[at >> 3]! >> (at & 7)) & 1);
}

function base64(array: Uint8Array | Int32Array | Float64Array): string {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
}

/** Every machine that LibTorch runs on is little-endian. */
function integers(text: string): Int32Array {
  return new Int32Array(aligned(text));
}

function floats(text: string): Float64Array {
  return new Float64Array(aligned(text));
}

function aligned(text: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(text, "base64")).buffer; // a copy of its own
}
