import { ConfigError, DataError, Rng } from "../core/index.js";
import { deviceOf, type FrameOptions, type PassReader } from "../features/index.js";
import type { Network } from "../model/index.js";
import { World } from "../train/index.js";
import { type Measured, score } from "./outcome.js";
import { iouCounts, PatchSample } from "./patches.js";
import {
  type ChosenProbe,
  chooseProbe,
  heldOutPictures,
  type ProbeSettings,
  type Samples,
  trainProbes,
} from "./probe.js";
import { PatchSearch, Segmenter } from "./segmenter.js";
import { joined, shareOf } from "./shares.js";
import type { Split } from "./suite.js";
import { type Reading, type Sliding, WindowSegmenter } from "./windows.js";

export interface SegmentationOptions extends FrameOptions {
  /** with the background */
  readonly classes: number;
  /** images of the bank at most */
  readonly images: number;
  readonly dense: {
    /** how often each image fills the memory, augmented anew each time; 0: once, as it is */
    readonly epochs: number;
    readonly k: number;
    readonly temperature: number;
    /** patches that the linear head is trained on, about */
    readonly samples: number;
  };
  /** patches in the k-NN's memory: about so many, and what the figure is called */
  readonly banks: readonly { readonly patches: number; readonly name: string }[];
  /** what the linear head's figure is called */
  readonly linear: string;
  readonly probe: ProbeSettings;
  readonly seed: number;
  readonly sliding: Sliding | undefined;
  readonly world: World;
}

/**
 * Segmentation by frozen patch features of one network: by nearest neighbours (Hummingbird,
 * Balažević et al. 2023) and by a linear head. First show it the bank, then `learn`, then show it
 * the test images. Of several processes each collects and segments what it reads; the memory of the
 * nearest neighbours all of them have whole. Dispose of it.
 */
export class Segmentation implements Disposable {
  private readonly memory: PatchSample;
  private readonly training: PatchSample;
  private readonly owned: Disposable[] = [];
  private nearest: readonly Segmenter[] = [];
  private linear: Segmenter | WindowSegmenter | undefined;
  /** [images] in the order in which a memory of fewer patches than images takes them */
  private readonly places: Int32Array;

  constructor(
    private readonly network: Network,
    private readonly options: SegmentationOptions,
  ) {
    const { banks, dense: own } = options;
    const { dim } = network.backbone.config;
    const most = Math.max(...banks.map(({ patches }) => patches));
    const perImage = this.remembered(most);
    checkMemory(most, Math.max(most, perImage) * dim, options.world);
    this.places = new Rng("images of patches", options.seed).permutation(options.images);
    this.memory = new PatchSample(dim, {
      ...options,
      perImage,
      wants: (image) => this.isRemembered(image, most),
      rule: "balanced",
    });
    this.training = new PatchSample(dim, {
      ...this.linearView,
      perImage: Math.max(1, Math.ceil(own.samples / options.images)),
      rule: "uniform",
    });
  }

  /** What reads the bank's passes, or the test images'. */
  readers(split: Split): readonly PassReader[] {
    const [nearest, linear] = this.all(split);
    const { dense: own, sliding } = this.options;
    const isFilledApart = split === "train" && own.epochs > 0;
    return [...(isFilledApart ? [] : nearest), ...(sliding ? [] : linear)];
  }

  /** What reads the bank's passes of augmented images, where the memory is filled from those. */
  augmented(): Reading {
    return { network: this.network, readers: [this.memory] };
  }

  /** What reads the passes of windows, where the linear head sees some. */
  windows(split: Split): Reading {
    return { network: this.network, readers: this.all(split)[1] };
  }

  private all(
    split: Split,
  ): readonly [nearest: readonly PassReader[], linear: readonly PassReader[]] {
    return split === "train"
      ? [[this.memory], [this.training]]
      : [this.nearest, this.linear ? [this.linear] : []];
  }

  /** Patches of each image in a memory of so many; as published, the same number in each epoch. */
  private remembered(patches: number): number {
    const { dense: own, images } = this.options;
    const epochs = Math.max(1, own.epochs);
    return epochs * Math.max(1, Math.floor(patches / (images * epochs)));
  }

  /** Whether an image is among those that a memory of so many patches is filled from. */
  private isRemembered(image: number, patches: number): boolean {
    const { dense: own } = this.options;
    return this.places[image]! < Math.ceil(patches / Math.max(1, own.epochs));
  }

  /** How the linear head sees images. */
  private get linearView(): SegmentationOptions {
    const { options } = this;
    return options.sliding ? { ...options, size: options.sliding.crop } : options;
  }

  /**
   * Trains the linear head. Its targets are the shares of classes in each patch, not upsampled
   * logits: that makes it a probe like any other.
   *
   * @param pictures of the bank's images
   * @throws DataError when the bank has less than two images
   */
  async learn(
    pictures: ReadonlyMap<number, number>,
    signal?: AbortSignal,
  ): Promise<Omit<ChosenProbe, "name">> {
    const { banks, classes, dense: own, linear: name, probe, seed, sliding, world } = this.options;
    const device = deviceOf(this.network);
    const images = joined(world, Int32Array.from(this.training.images));
    const shown = [...new Set(Array.from(images, (image) => pictures.get(image)!))];
    const held = world.agree(() => heldOutPictures(shown, seed));
    this.nearest = banks.map(({ patches, name: bank }) => {
      const mine = this.memory.samples(
        (image) => this.isRemembered(image, patches),
        this.remembered(patches),
      );
      const some = samplesOfAll(world, mine);
      if (some.features.length === 0) throw world.everywhere(nothingRemembered(patches));
      const search = new PatchSearch(some, own, device);
      this.owned.push(search);
      return new Segmenter(bank, this.options, (rows) => search.classify(rows));
    });
    const part = (isHeld: boolean): Samples => {
      const mine = this.training.samples((image) => held.has(pictures.get(image)!) === isHeld);
      return { ...mine, share: shareOf(world, mine.targets.length / classes) };
    };
    const samples = part(false);
    const columns = [{ from: 0, width: samples.width }];
    const probes = await trainProbes(samples, columns, probe, { seed, device, signal, world });
    this.owned.push(probes);
    const rate = (predicted: Int32Array, truth: Int32Array): number => {
      const { intersections, unions } = iouCounts(predicted, truth, classes);
      return score("iou", Float64Array.of(...intersections, ...unions));
    };
    const choice = chooseProbe(probes, part(true), rate, world);
    const { linearView, network } = this;
    if (sliding) {
      const by = new WindowSegmenter(name, network, linearView, (rows) =>
        probes.logitsOf(choice, rows),
      );
      this.owned.push(by);
      this.linear = by;
    } else this.linear = new Segmenter(name, linearView, (rows) => probes.logitsOf(choice, rows));
    return {
      blocks: 1,
      average: false,
      learningRate: probe.learningRates[choice.rate]!,
      validation: choice.score,
    };
  }

  /** `dense/knn/miou`, `dense/linear/miou` of the test images shown */
  measured(): Measured[] {
    const { world } = this.options;
    return [...this.nearest, ...(this.linear ? [this.linear] : [])].map((one) =>
      one.measured(world),
    );
  }

  [Symbol.dispose](): void {
    for (const thing of this.owned) thing[Symbol.dispose]();
  }
}

/** What all processes have collected. */
function samplesOfAll(world: World, { features, targets, ...rest }: Samples): Samples {
  return {
    ...rest,
    features: joined(world, features),
    targets: joined(world, targets),
  };
}

/** Numbers that an array can hold, and those that pass from one process to others at once. */
const [LONGEST, SHARED] = [2 ** 32 - 1, 2 ** 30 - 1];

/** @throws ConfigError in all processes when no process could hold a memory, before anything is read */
function checkMemory(patches: number, numbers: number, { size }: World): void {
  const most = size === 1 ? LONGEST : SHARED;
  if (numbers <= most) return;
  const fewer = Math.floor((patches * most) / numbers);
  throw new ConfigError(
    `evaluation: dense bank ${patches}: its patches are ${Math.ceil((4 * numbers) / 1e9)} GB of features; ` +
      `${size === 1 ? "a memory" : "the memory of several processes"} has at most ${Math.floor((4 * most) / 1e9)}. ` +
      `Ask for fewer: --dense-bank ${fewer}${size > 1 && numbers <= LONGEST ? ", or evaluate in one process" : ""}.`,
  );
}

const nothingRemembered = (patches: number): DataError =>
  new DataError(
    `evaluation: dense bank ${patches}: the images that it would be filled from show nothing that is known. ` +
      `Ask for more patches: --dense-bank`,
  );
