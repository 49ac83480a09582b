import type { Network } from "../model/network.js";
import type { FrameOptions } from "./frame.js";
import { iouCounts } from "./label-map.js";
import type { ChosenProbe } from "./linear-suite.js";
import { type Measured, score } from "./outcome.js";
import { deviceOf, type PassReader } from "./passes.js";
import { PatchJudge } from "./patch-judge.js";
import { PatchSample } from "./patch-sample.js";
import { PatchSearch } from "./patch-search.js";
import { type ProbeSettings, trainProbes } from "./probe.js";
import { chooseProbe, heldOutImages } from "./probe-choice.js";

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
