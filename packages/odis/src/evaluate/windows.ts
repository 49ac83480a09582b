import { noGrad, type Tensor, tidy, zeros } from "@odis/torch";
import { ConfigError } from "../core/index.js";
import {
  boxPixels,
  type Consumer,
  deviceOf,
  type FramedImage,
  Passes,
  type PassReader,
  type PassRow,
  type PassTokens,
  type Window,
} from "../features/index.js";
import type { Network } from "../model/index.js";
import { World } from "../train/index.js";
import { type Measured } from "./outcome.js";
import { checkSide, iouCounts, type IouCounts, labelMap } from "./patches.js";
import { type Classify, iouOutcome, type PatchScores, scoresOfPatches } from "./segmenter.js";

/** How windows slide over a picture of which the shorter side is as long as a window. */
export interface Sliding {
  /** side of a window, pixels of the network's input */
  readonly crop: number;
  /** from one window to the next, of the same pixels; at most the crop */
  readonly stride: number;
}

/** @throws ConfigError when a window is no whole number of patches, or pixels are in none */
export function checkSliding({ crop, stride }: Sliding, patch: number): void {
  checkSide("crop", crop, patch);
  if (stride <= crop) return;
  throw new ConfigError(
    `evaluation: stride ${stride} is more than the crop, ${crop}: pixels between windows would be seen by none. ` +
      `Wanted at most ${crop}, or a larger --dense-crop.`,
  );
}

/** A window's place along the picture's longer side. */
export interface SlidWindow extends Window {
  /** which side that is, in tensors [.., height, width] */
  readonly axis: 1 | 2;
  /** pixels of the input, from the window's first on, that no later window shows */
  readonly last: number;
}

/**
 * The windows over a picture (mmsegmentation's `slide`, iBOT: crop 512, stride 341): the picture is scaled so
 * that its shorter side is `crop`, windows follow each other along the longer one by `stride`, and the last
 * one ends where the picture does. Boxes are whole pixels of the picture.
 */
export function windowsOf(
  { width, height }: Pick<FramedImage["sample"], "width" | "height">,
  { crop, stride }: Sliding,
): readonly SlidWindow[] {
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const length = Math.round((long * crop) / short);
  const of = Math.ceil((length - crop) / stride) + 1;
  const begin = (index: number): number => Math.min(index * stride, length - crop);
  return Array.from({ length: of }, (_, index) => {
    const at = Math.min(Math.round((begin(index) * short) / crop), long - short);
    const [x, y, axis] = width >= height ? ([at, 0, 2] as const) : ([0, at, 1] as const);
    const last = index + 1 < of ? begin(index + 1) - begin(index) : crop;
    return { box: { x, y, width: short, height: short }, index, of, axis, last };
  });
}

/** Who reads a network's passes. */
export interface Reading {
  readonly network: Network;
  readonly readers: readonly PassReader[];
}

/** Shows readers every picture window by window, in order; each is drawn once for all networks. */
export class WindowPasses implements Consumer {
  private readonly passes: readonly Passes[];

  /** @param size side of the networks' input, pixels */
  constructor(
    private readonly size: number,
    private readonly windows: (image: FramedImage) => readonly Window[],
    readings: readonly Reading[],
  ) {
    this.passes = readings.map(
      ({ network, readers }) => new Passes(network, "none", "token", size, readers),
    );
  }

  push(image: FramedImage): void {
    for (const window of this.windows(image)) {
      const pixels = boxPixels(image.sample, window.box, this.size, window.steps);
      const shown = { ...image, pixels, window };
      for (const one of this.passes) one.push(shown);
    }
  }

  finish(): void {
    for (const one of this.passes) one.finish();
  }
}

/**
 * Segments pictures from windows: where some overlap, the mean of their scores decides. Counted are the pixels
 * of the scaled picture. What is decided is forgotten, so the memory is that of one window, however long
 * the picture. Dispose of it.
 */
export class WindowSegmenter implements PassReader, Disposable {
  readonly blocks = 1;
  readonly patches = true;
  private readonly images: string[] = [];
  private readonly counts: IouCounts[] = [];
  /** [classes, crop, crop]: scores so far from the window's first pixel on; of sums the same is largest */
  private readonly sums: Tensor;

  constructor(
    private readonly name: string,
    network: Network,
    private readonly options: PatchScores,
    private readonly classify: Classify,
  ) {
    const { classes, size } = options;
    this.sums = zeros([classes, size, size], { device: deviceOf(network) });
  }

  read(tokens: PassTokens, rows: readonly PassRow[]): void {
    const patches = tokens.patches[0]!;
    for (const [row, { image }] of rows.entries())
      noGrad(() => tidy(() => this.window(patches.narrow(0, row, 1), image)));
  }

  /** @param patches [1, N, D] of a window */
  private window(patches: Tensor, image: FramedImage): void {
    const { size, classes } = this.options;
    const { axis, last, index } = image.window as SlidWindow;
    const { sums } = this;
    if (index === 0) {
      sums.zero_();
      this.images.push(image.sample.key);
      this.counts.push({
        intersections: new Int32Array(classes),
        unions: new Int32Array(classes),
      });
    }
    sums.add_(scoresOfPatches(patches, this.options, this.classify).squeeze(0));
    const predicted = sums.narrow(axis, 0, last).argmax(0).to({ dtype: "int32" }).toArray();
    const truth = firstOf(labelMap(image, this.options), size, axis, last);
    const found = iouCounts(predicted as Int32Array, truth, classes);
    const counts = this.counts.at(-1)!;
    for (const [c, n] of found.intersections.entries()) counts.intersections[c]! += n;
    for (const [c, n] of found.unions.entries()) counts.unions[c]! += n;
    const rest = sums.narrow(axis, last, size - last).clone();
    sums.zero_();
    if (last < size) sums.narrow(axis, 0, size - last).copy_(rest);
  }

  /** Of the images of all processes. */
  measured(world = World.alone): Measured {
    return iouOutcome(this.name, this.options.classes, this.images, this.counts, world);
  }

  [Symbol.dispose](): void {
    this.sums.free();
  }
}

/** The first rows, or columns, of a map [size, size]. */
function firstOf(map: Int16Array, size: number, axis: 1 | 2, count: number): Int16Array {
  if (axis === 1) return map.subarray(0, count * size);
  return map.filter((_, at) => at % size < count);
}
