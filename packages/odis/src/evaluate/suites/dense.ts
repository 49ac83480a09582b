import type { Network } from "../../model/index.js";
import {
  deviceOf,
  type FrameOptions,
  type PassReader,
  type PassRow,
  type PassTokens,
} from "../../features/index.js";
import { iouCounts, type IouCounts, labelMap, PatchSample } from "./patches.js";
import type { ChosenProbe } from "./linear.js";
import { type Measured, score } from "../outcome.js";
import {
  chooseProbe,
  heldOutImages,
  type ProbeSettings,
  type Samples,
  trainProbes,
} from "./probe.js";
import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { blockElements, unit } from "./knn.js";

/** How patch features are judged. Defaults: the published nearest-neighbour protocol's. */
export interface DenseSettings {
  /** patches in the k-NN's memory, about; published: 10,240 times 10 to 1000 */
  readonly bank: number;
  /** neighbours that each patch asks */
  readonly k: number;
  /** of the softmax over their similarities */
  readonly temperature: number;
  /** patches that the linear head is trained on, about */
  readonly samples: number;
}

export const defaultDenseSettings: DenseSettings = {
  bank: 10_240,
  k: 30,
  temperature: 0.02,
  samples: 20_480,
};

export interface DenseOptions extends FrameOptions {
  /** with the background */
  readonly classes: number;
  /** images of the bank at most */
  readonly images: number;
  readonly dense: DenseSettings;
  readonly probe: ProbeSettings;
  readonly seed: number;
}

/**
 * Segmentation by frozen patch features of one network: by nearest neighbours (Hummingbird,
 * Balažević et al. 2023) and by a linear head. First show it the bank, then `learn`, then show it
 * the test images. Dispose of it.
 */
export class DenseEvaluation implements Disposable {
  private readonly memory: PatchSample;
  private readonly lesson: PatchSample;
  private readonly owned: Disposable[] = [];
  private judges: readonly PatchJudge[] = [];

  constructor(
    private readonly network: Network,
    private readonly options: DenseOptions,
  ) {
    const { images, dense } = options;
    const perImage = (patches: number): number => Math.max(1, Math.ceil(patches / images));
    const of = { memory: perImage(dense.bank), lesson: perImage(dense.samples) };
    const { dim } = network.backbone.config;
    this.memory = new PatchSample(dim, { ...options, perImage: of.memory, rule: "balanced" });
    this.lesson = new PatchSample(dim, { ...options, perImage: of.lesson, rule: "uniform" });
  }

  /** What reads the bank's passes, or the test images'. */
  readers(part: "train" | "test"): readonly PassReader[] {
    return part === "train" ? [this.memory, this.lesson] : this.judges;
  }

  /**
   * Trains the linear head. Its targets are the shares of classes in each patch, not upsampled
   * logits: that makes it a probe like any other.
   *
   * @throws DataError when the bank has less than two images
   */
  async learn(signal?: AbortSignal): Promise<Omit<ChosenProbe, "name">> {
    const { classes, dense, probe, seed } = this.options;
    const device = deviceOf(this.network);
    const held = heldOutImages(this.lesson.images, seed);
    const search = new PatchSearch(this.memory.samples(), dense, device);
    this.owned.push(search);
    const training = this.lesson.samples((image) => !held.has(image));
    const columns = [{ from: 0, width: training.width }];
    const probes = await trainProbes(training, columns, probe, { seed, device, signal });
    this.owned.push(probes);
    const validation = this.lesson.samples((image) => held.has(image));
    const choice = chooseProbe(probes, validation, (predicted, truth) => {
      const { intersections, unions } = iouCounts(predicted, truth, classes);
      return score("iou", Float64Array.of(...intersections, ...unions));
    });
    this.judges = [
      new PatchJudge("knn", this.options, (patches) => search.classify(patches)),
      new PatchJudge("linear", this.options, (patches) => probes.logitsOf(choice, patches)),
    ];
    return {
      blocks: 1,
      average: false,
      learningRate: probe.learningRates[choice.rate]!,
      validation: choice.score,
    };
  }

  /** `dense/knn/miou`, `dense/linear/miou` of the test images shown */
  measured(): Measured[] {
    return this.judges.map((judge) => judge.measured());
  }

  [Symbol.dispose](): void {
    for (const thing of this.owned) thing[Symbol.dispose]();
  }
}

/** What a patch shows, by some way: [P, D] features -> [P, classes] scores. */
export type Classify = (patches: Tensor) => Tensor;

/** Segments the images of passes and counts right pixels of the framed images. */
export class PatchJudge implements PassReader {
  readonly blocks = 1;
  readonly patches = true;
  private readonly images: string[] = [];
  private readonly counts: IouCounts[] = [];

  constructor(
    private readonly name: string,
    private readonly options: FrameOptions & { readonly classes: number },
    private readonly classify: Classify,
  ) {}

  read(tokens: PassTokens, rows: readonly PassRow[]): void {
    const { size, patch, classes } = this.options;
    const patches = tokens.patches[0]!;
    const [, N, D] = patches.dims(3);
    const side = size / patch;
    const atOnce = Math.max(1, Math.floor(blockElements / (classes * size * size)));
    for (let begin = 0; begin < rows.length; begin += atOnce) {
      const some = rows.slice(begin, begin + atOnce);
      const predicted = tidy(() =>
        this.classify(patches.narrow(0, begin, some.length).reshape([some.length * N, D]))
          .reshape([some.length, side, side, classes])
          .permute([0, 3, 1, 2])
          .contiguous()
          .upsampleBilinear2d([size, size])
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

  measured(): Measured {
    const { classes } = this.options;
    const { images, counts } = this;
    const all = (of: (one: IouCounts) => Int32Array): Int32Array =>
      Int32Array.from(counts.flatMap((one) => Array.from(of(one))));
    const intersections = all((one) => one.intersections);
    const unions = all((one) => one.unions);
    return [`dense/${this.name}/miou`, { kind: "iou", images, classes, intersections, unions }];
  }
}

/** Labelled patches that other patches are compared with. */
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
        const [similar, rows] = unit(block).matmul(this.keys).topk(k, 1);
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
