import { drawMask } from "@odis/torch/images";
import { ConfigError, Rng } from "../core/index.js";
import { frameBox } from "../portable/index.js";
import {
  type FramedImage,
  type FrameOptions,
  type PassReader,
  type PassRow,
  type PassTokens,
} from "../features/index.js";
import type { Samples } from "./probe.js";

/**
 * Which patches of an image are taken. `balanced`: rather those of classes that few of its patches show, and
 * less often those of several classes (Hummingbird's memory); `uniform`: any.
 */
export type PatchRule = "balanced" | "uniform";

export interface PatchSampleOptions extends FrameOptions {
  /** with the background */
  readonly classes: number;
  /** patches of an image at most; where it is seen in several windows, about as many of all together */
  readonly perImage: number;
  /** whether patches of an image are wanted at all; default: of all images */
  readonly wants?: (image: number) => boolean;
  readonly rule: PatchRule;
  readonly seed: number;
}

/** Collects some patches of every image: their features after the final norm, and what they show. */
export class PatchSample implements PassReader {
  readonly blocks = 1;
  readonly patches = true;
  private readonly features: Float32Array[] = [];
  private readonly targets: Float32Array[] = [];
  private readonly origins: number[] = [];
  /** how many patches of the image, of all its windows in turn, come before this one */
  private readonly ranks: number[] = [];

  /** @param width of a patch token */
  constructor(
    private readonly width: number,
    private readonly options: PatchSampleOptions,
  ) {}

  read(tokens: PassTokens, rows: readonly PassRow[]): void {
    const { size, patch, classes, perImage, rule, seed, wants = () => true } = this.options;
    const patches = tokens.patches[0]!.toFloat32();
    const N = (size / patch) ** 2;
    for (const [row, { image }] of rows.entries()) {
      if (!wants(image.index)) continue;
      const shares = patchShares(labelMap(image, this.options), size, patch, classes);
      const { index: which, of } = image.window ?? { index: 0, of: 1 };
      const rng = new Rng("patches", rule, seed, image.index, ...(which > 0 ? [which] : []));
      const count = Math.ceil(perImage / of);
      for (const [rank, n] of drawPatches(shares, classes, count, rule, rng).entries()) {
        const begin = (row * N + n) * this.width;
        this.features.push(patches.slice(begin, begin + this.width));
        this.targets.push(shares.slice(n * classes, (n + 1) * classes));
        this.origins.push(image.index);
        this.ranks.push(rank * of);
      }
    }
  }

  /**
   * All that was collected, or that of some images; of several processes what this one has.
   *
   * @param perImage the first that were drawn of each image: what a sample of so many would have collected
   */
  samples(
    wanted: (image: number) => boolean = () => true,
    perImage: number = this.options.perImage,
  ): Samples {
    const rows = [...this.origins.keys()].filter(
      (row) => this.ranks[row]! < perImage && wanted(this.origins[row]!),
    );
    const join = (parts: readonly Float32Array[], width: number): Float32Array => {
      const joined = new Float32Array(rows.length * width);
      for (const [to, row] of rows.entries()) joined.set(parts[row]!, to * width);
      return joined;
    };
    return {
      features: join(this.features, this.width),
      width: this.width,
      targets: join(this.targets, this.options.classes),
      classes: this.options.classes,
    };
  }

  /** Images that something was collected from, each once. */
  get images(): readonly number[] {
    return [...new Set(this.origins)];
  }
}

/**
 * Some patches of an image, without replacement, as Hummingbird's published evaluation draws them: each one's
 * score is multiplied by a uniform random number, and the least products are taken. Balanced, the score is
 * the sum, over the classes that the patch shows at all, of how many patches of the image show them; else
 * it is 1. Who wants fewer gets the first of them.
 *
 * @param shares [N, classes]; a patch of zeros, of which nobody knows what it shows, is never drawn
 * @returns at most `count` indices, the least product first
 */
export function drawPatches(
  shares: Float32Array,
  classes: number,
  count: number,
  rule: PatchRule,
  rng: Pick<Rng, "uniform">,
): number[] {
  const frequencies = new Float64Array(classes);
  for (const [at, share] of shares.entries()) if (share > 0) frequencies[at % classes]! += 1;
  const scores = new Float64Array(shares.length / classes);
  for (const [at, share] of shares.entries()) {
    const n = Math.floor(at / classes);
    if (share > 0) scores[n] = rule === "uniform" ? 1 : scores[n]! + frequencies[at % classes]!;
  }
  // Drawn for every patch: no draw depends on labels.
  return Array.from(scores, (score, index) => ({ index, score, product: score * rng.uniform() }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => a.product - b.product)
    .slice(0, count)
    .map(({ index }) => index);
}

/** In a label map: pixels that say nothing, because nobody knows what is there. */
export const ignored = -1;

/** Several readers look at one image while it is there; by what decides the map. */
const maps = new WeakMap<FramedImage, Map<string, Int16Array>>();

/**
 * What each pixel of a framed image shows: 0 = background, c + 1 = an object of class c, `ignored` =
 * an object without a class. Larger objects are painted first, so that what stands in front of
 * something larger stays whole; of equally large ones the later stays on top. Every object counts,
 * also those that are too small to be an item of their own.
 *
 * @returns [size, size]
 */
export function labelMap(image: FramedImage, { frame, size }: FrameOptions): Int16Array {
  const known = maps.get(image) ?? new Map<string, Int16Array>();
  maps.set(image, known);
  const way = `${frame} ${size}`;
  const before = known.get(way);
  if (before) return before;
  const { sample } = image;
  const { width, height } = sample;
  const map = new Int16Array(size * size);
  const inside = new Uint8Array(size * size);
  const geometry = { box: image.window?.box ?? frameBox(sample, frame), flip: false };
  for (const object of sample.objects.toSorted((a, b) => b.area - a.area)) {
    const mask = { width, height, pixels: object.pixels() };
    if (drawMask(mask, geometry, size, inside) === 0) continue;
    const value = object.label < 0 ? ignored : object.label + 1;
    for (const [at, bit] of inside.entries()) if (bit) map[at] = value;
  }
  known.set(way, map);
  return map;
}

/**
 * Shares of the classes in each patch's pixels, ignored ones left out: [N, classes], row by row of
 * the patch grid. A patch of ignored pixels only has zeros.
 *
 * @param map [size, size]
 */
export function patchShares(
  map: Int16Array,
  size: number,
  patch: number,
  classes: number,
): Float32Array {
  const side = size / patch;
  const shares = new Float32Array(side * side * classes);
  for (let y = 0, at = 0; y < size; y += 1)
    for (let x = 0; x < size; x += 1, at += 1) {
      const label = map[at]!;
      const cell = Math.floor(y / patch) * side + Math.floor(x / patch);
      if (label !== ignored) shares[cell * classes + label]! += 1;
    }
  for (let begin = 0; begin < shares.length; begin += classes) {
    const row = shares.subarray(begin, begin + classes);
    const known = row.reduce((sum, n) => sum + n, 0);
    if (known > 0) for (const c of row.keys()) row[c]! /= known;
  }
  return shares;
}

/** @throws ConfigError when a network's input is no whole number of patches */
export function checkSide(what: string, side: number, patch: number): void {
  if (side % patch === 0) return;
  throw new ConfigError(
    `evaluation: ${what} ${side} is not a multiple of the network's patch, ${patch}. ` +
      `Wanted for example ${Math.max(1, Math.round(side / patch)) * patch}.`,
  );
}

/** Pixels that prediction and truth agree on, and pixels that either of them has, per class. */
export interface IouCounts {
  readonly intersections: Int32Array;
  readonly unions: Int32Array;
}

/**
 * Counts of one picture, to be added up over pictures before they are divided (mmsegmentation's
 * `intersect_and_union`): ignored pixels of the truth count for nobody.
 *
 * @param predicted classes 0..classes - 1
 * @param truth of the same length; classes, or `skip`
 */
export function iouCounts(
  predicted: ArrayLike<number>,
  truth: ArrayLike<number>,
  classes: number,
  skip = ignored,
): IouCounts {
  const intersections = new Int32Array(classes);
  const unions = new Int32Array(classes);
  for (let at = 0; at < truth.length; at += 1) {
    const [wanted, got] = [truth[at]!, predicted[at]!];
    if (wanted === skip) continue;
    unions[wanted]! += 1;
    if (wanted === got) intersections[wanted]! += 1;
    else unions[got]! += 1;
  }
  return { intersections, unions };
}
