import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import type { FrameOptions, PassReader, PassRow, PassTokens } from "../features/index.js";
import { World } from "../train/index.js";
import { blockElements, largest, unit } from "./neighbours.js";
import type { Measured } from "./outcome.js";
import { iouCounts, type IouCounts, labelMap } from "./patches.js";
import type { Samples } from "./probe.js";
import { joined } from "./shares.js";

/** What a patch shows, by some way: [P, D] features -> [P, classes] scores. */
export type Classify = (patches: Tensor) => Tensor;

/** How pictures are seen, and how many classes there are, with the background. */
export interface PatchScores extends FrameOptions {
  readonly classes: number;
}

/**
 * Scores of the pixels of an input: those of its patches, bilinearly.
 *
 * @param patches [B, N, D]
 * @returns [B, classes, size, size]
 */
export function scoresOfPatches(
  patches: Tensor,
  { size, patch, classes }: PatchScores,
  classify: Classify,
): Tensor {
  const [B, N, D] = patches.dims(3);
  const side = size / patch;
  return classify(patches.reshape([B * N, D]))
    .reshape([B, side, side, classes])
    .permute([0, 3, 1, 2])
    .contiguous()
    .upsampleBilinear2d([size, size]);
}

/** Segments the images of passes and counts right pixels of the framed images. */
export class Segmenter implements PassReader {
  readonly blocks = 1;
  readonly patches = true;
  private readonly images: string[] = [];
  private readonly counts: IouCounts[] = [];

  constructor(
    private readonly name: string,
    private readonly options: PatchScores,
    private readonly classify: Classify,
  ) {}

  read(tokens: PassTokens, rows: readonly PassRow[]): void {
    const { size, classes } = this.options;
    const patches = tokens.patches[0]!;
    const atOnce = Math.max(1, Math.floor(blockElements / (classes * size * size)));
    for (let begin = 0; begin < rows.length; begin += atOnce) {
      const some = rows.slice(begin, begin + atOnce);
      const predicted = tidy(() =>
        scoresOfPatches(patches.narrow(0, begin, some.length), this.options, this.classify)
          .argmax(1)
          .to({ dtype: "int32" })
          .toArray(),
      ) as Int32Array;
      for (const [at, { image }] of some.entries()) {
        const mine = predicted.subarray(at * size * size, (at + 1) * size * size);
        this.counts.push(iouCounts(mine, labelMap(image, this.options), classes));
        this.images.push(image.sample.key);
      }
    }
  }

  /** Of the images of all processes. */
  measured(world = World.alone): Measured {
    return iouOutcome(this.name, this.options.classes, this.images, this.counts, world);
  }
}

/** `dense/NAME/miou` from the counts of every image, those of other processes included. */
export function iouOutcome(
  name: string,
  classes: number,
  own: readonly string[],
  counts: readonly IouCounts[],
  world: World,
): Measured {
  const images = world.shareValues(own).flat();
  const all = (of: (one: IouCounts) => Int32Array): Int32Array =>
    joined(world, Int32Array.from(counts.flatMap((one) => Array.from(of(one)))));
  const intersections = all((one) => one.intersections);
  const unions = all((one) => one.unions);
  return [`dense/${name}/miou`, { kind: "iou", images, classes, intersections, unions }];
}

/** Labelled patches that other patches are compared with. Dispose of it. */
export class PatchSearch implements Disposable {
  /** [D, M], columns of unit length */
  private readonly keys: Tensor;
  /** [M, classes] */
  private readonly labels: Tensor;

  constructor(
    { features, width, targets, classes }: Samples,
    private readonly settings: { readonly k: number; readonly temperature: number },
    device: string,
  ) {
    const n = features.length / width;
    this.keys = noGrad(() =>
      tidy(() =>
        unit(fromBuffer(features, [n, width], { device }))
          .transpose(0, 1)
          .contiguous(),
      ),
    );
    this.labels = fromBuffer(targets, [n, classes], { device });
  }

  /**
   * The nearest patches' shares of classes, mixed by the softmax of their cosine similarities.
   *
   * @param patches [P, D]
   * @returns [P, classes]; rows sum to 1
   */
  classify(patches: Tensor): Tensor {
    const [M, classes] = this.labels.dims(2);
    const k = Math.min(this.settings.k, M);
    const atOnce = Math.max(1, Math.floor(blockElements / Math.max(M, k * classes)));
    const mixed = patches.split(atOnce).map((block) =>
      tidy(() => {
        const [similar, rows] = largest(unit(block).matmul(this.keys), k);
        const shares = this.labels.indexSelect(0, rows.flatten()).reshape([-1, k, classes]);
        const weights = similar.div(this.settings.temperature).softmax(1);
        return weights.unsqueeze(1).bmm(shares).squeeze(1);
      }),
    );
    return cat(mixed, 0);
  }

  [Symbol.dispose](): void {
    this.keys.free();
    this.labels.free();
  }
}
