import { format } from "d3-format";
import { z } from "zod";
import type { Network } from "../../model/index.js";
import { World } from "../../train/index.js";
import {
  type Consumer,
  deviceOf,
  type FrameOptions,
  type PassReader,
} from "../../features/index.js";
import type { EvaluationOptions } from "../options.js";
import { type Measured, score } from "../outcome.js";
import { iouCounts, PatchSample } from "../patches.js";
import {
  type ChosenProbe,
  chooseProbe,
  heldOutPictures,
  probeOptions,
  type ProbeSettings,
  probeSettings,
  type Samples,
  trainProbes,
} from "../probe.js";
import type { ReadData } from "../reading.js";
import type { Representation } from "../representations.js";
import { PatchSearch, Segmenter } from "../segmenter.js";
import { joined, shareOf } from "../shares.js";
import { type Figure, type Finding, type Job, nameOf, type Split, suite } from "../suite.js";
import {
  checkSliding,
  type Reading,
  type Sliding,
  WindowPasses,
  WindowSegmenter,
} from "../windows.js";

const size = z.int().min(1);
const denseSettings = {
  /** How patches are told. Defaults: the published nearest-neighbour protocol's. */
  dense: z
    .strictObject({
      /**
       * patches in the k-NN's memory, about, a figure for each size; published: 10,240 times 10 to 1000.
       * Earlier releases had one number
       */
      bank: z
        .preprocess(
          (given) => (typeof given === "number" ? [given] : given),
          z.array(size).min(1, "wanted at least one size"),
        )
        .default([10_240])
        .readonly(),
      /** neighbours that each patch asks */
      k: size.default(30),
      /** of the softmax over their similarities */
      temperature: z.number().positive().default(0.02),
      /** patches that the linear head is trained on, about */
      samples: size.default(20_480),
      /**
       * side of the windows that the linear head sees instead of the whole image, pixels of the network's
       * input; published: 512
       */
      crop: size.optional(),
      /** from one window to the next, pixels of the input, at most the crop; published: 341; default: two thirds of it */
      stride: size.optional(),
    })
    .readonly()
    .prefault({}),
};
type DenseSettings = z.output<typeof denseSettings.dense>;
interface OwnSettings {
  readonly dense: DenseSettings;
  readonly probe: ProbeSettings;
}

/** The published protocol's, other banks and other neighbours of it. */
const options: EvaluationOptions = {
  denseBank: {
    help: "patches in the memory of segmentation by nearest neighbours, drawn class by class; several sizes are figures of one table (published: 10240,102400,1024000,10240000)",
    type: { kind: "number", whole: true, many: true, min: 1 },
    path: "dense.bank",
  },
  denseK: {
    help: "neighbours that each patch asks (published: 30)",
    type: { kind: "number", whole: true, min: 1 },
    path: "dense.k",
  },
  denseTemperature: {
    help: "of the softmax over their likenesses (published: 0.02; DIP: 0.07)",
    type: { kind: "number", min: 1e-4, max: 100 },
    path: "dense.temperature",
  },
  denseSamples: {
    help: "patches that the linear head of segmentation is trained on",
    type: { kind: "number", whole: true, min: 1 },
    path: "dense.samples",
  },
  denseCrop: {
    help: "side of the windows that the linear head of segmentation sees, pixels, as long as the picture's shorter side (published: 512; default: --size where there is a stride; without both it sees the whole image)",
    type: { kind: "number", whole: true, min: 1 },
    path: "dense.crop",
  },
  denseStride: {
    help: "pixels from one window to the next, whose scores are averaged at most the crop (published: 341; default: two thirds of it)",
    type: { kind: "number", whole: true, min: 1 },
    path: "dense.stride",
  },
  ...probeOptions,
};

/** Segmentation by patch features. */
export const dense = suite({
  name: "dense",
  summary: "segmentation by patches",
  settings: { ...denseSettings, ...probeSettings },
  options,
  needs: () => ({ modes: [] }),
  watch: (job) => job.world.agree(() => segmentations(job)),
  measure: (_, watch) => watch.findings(),
  describe: ({ settings }) => ({
    meaning: `Segmentation: each patch of a test image is told from patches of the bank, by the most similar ones or by a linear classifier, and the image is coloured in from its patches; mean over classes (background is one) of intersection over union. What is in front of something larger is what counts.${slidingMeaning(slidingOf(settings))}`,
    tables: [
      {
        title: "segmentation by patches, mIoU, per cent",
        short: "segmentation",
        figures: [...banks(settings.dense).map(({ figure }) => figure), linearFigure(settings)],
      },
    ],
  }),
});

const count = format(",");

/** One bank has the name that it had when there could be only one. */
function banks({ bank }: Pick<DenseSettings, "bank">) {
  const several = new Set(bank).size > 1;
  return [...new Set(bank)].map((patches) => {
    const name = several ? `knn-${patches}` : "knn";
    const title = several ? `k-NN of ${count(patches)}` : "k-NN";
    const figure: Figure = { key: `dense-${name}`, title, measure: `dense/${name}/miou` };
    return { patches, name, figure };
  });
}

/** How the linear head sees images: undefined where it sees them whole. */
function slidingOf({
  dense: { crop, stride },
  size: input,
}: {
  readonly dense: Pick<DenseSettings, "crop" | "stride">;
  readonly size: number;
}): Sliding | undefined {
  if (crop === undefined && stride === undefined) return undefined;
  const side = crop ?? input;
  return { crop: side, stride: stride ?? Math.max(1, Math.round((side * 341) / 512)) };
}

const linearName = (sliding: Sliding | undefined): string =>
  sliding ? "linear-windows" : "linear";

function linearFigure(settings: Parameters<typeof slidingOf>[0]): Figure {
  const sliding = slidingOf(settings);
  const name = linearName(sliding);
  const title = sliding ? `linear, ${sliding.crop} px every ${sliding.stride}` : "linear";
  return { key: `dense-${name}`, title, measure: `dense/${name}/miou` };
}

function slidingMeaning(sliding: Sliding | undefined): string {
  return sliding
    ? ` The linear classifier learns and tells from square windows of ${sliding.crop} pixels that slide over the picture, of which the shorter side is as long, by ${sliding.stride} pixels; where they overlap the mean of their scores decides.`
    : "";
}

/** One segmentation for each representation that has patches. */
function segmentations({ representations, settings, classes, ...job }: Job<OwnSettings>) {
  const { patch, images, signal, world } = job;
  const sliding = slidingOf(settings);
  if (sliding) checkSliding(sliding, patch);
  const all = new Map(
    representations.flatMap(({ name, network }) =>
      network
        ? [
            [
              name,
              new Segmentation(network, {
                ...settings,
                patch,
                images,
                classes: classes.length + 1,
                sliding,
                world,
              }),
            ] as const,
          ]
        : [],
    ),
  );
  const probes: ChosenProbe[] = [];
  return {
    readers: (split: Split, { name }: Representation): readonly PassReader[] =>
      all.get(name)?.readers(split) ?? [],
    ...(sliding && {
      consumer: (split: Split): Consumer =>
        new WindowPasses(
          sliding,
          [...all.values()].map((one) => one.windows(split)),
        ),
    }),
    async learn(bank: ReadData) {
      const pictures = new Map(bank.items.map(({ image, picture }) => [image, picture]));
      for (const [name, one] of all)
        probes.push({
          name: nameOf(name, `dense/${linearName(sliding)}`),
          ...(await one.learn(pictures, signal)),
        });
    },
    *findings(): Iterable<Finding> {
      for (const [name, one] of all)
        for (const [measure, outcome] of one.measured())
          yield { name: nameOf(name, measure), outcome };
      for (const probe of probes) yield { probe };
    },
    [Symbol.dispose]() {
      for (const one of all.values()) one[Symbol.dispose]();
    },
  };
}

interface DenseOptions extends FrameOptions {
  /** with the background */
  readonly classes: number;
  /** images of the bank at most */
  readonly images: number;
  readonly dense: DenseSettings;
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
class Segmentation implements Disposable {
  private readonly memory: PatchSample;
  private readonly training: PatchSample;
  private readonly owned: Disposable[] = [];
  private nearest: readonly Segmenter[] = [];
  private linear: Segmenter | WindowSegmenter | undefined;

  constructor(
    private readonly network: Network,
    private readonly options: DenseOptions,
  ) {
    const { dense: own } = options;
    const { dim } = network.backbone.config;
    const perImage = this.perImage(Math.max(...own.bank));
    this.memory = new PatchSample(dim, { ...options, perImage, rule: "balanced" });
    this.training = new PatchSample(dim, {
      ...this.linearView,
      perImage: this.perImage(own.samples),
      rule: "uniform",
    });
  }

  /** What reads the bank's passes, or the test images'. */
  readers(split: Split): readonly PassReader[] {
    const [nearest, linear] = this.all(split);
    return this.options.sliding ? nearest : [...nearest, ...linear];
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

  private perImage(patches: number): number {
    return Math.max(1, Math.ceil(patches / this.options.images));
  }

  /** How the linear head sees images. */
  private get linearView(): DenseOptions {
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
    const { classes, dense: own, probe, seed, sliding, world } = this.options;
    const device = deviceOf(this.network);
    const images = joined(world, Int32Array.from(this.training.images));
    const shown = [...new Set(Array.from(images, (image) => pictures.get(image)!))];
    const held = world.agree(() => heldOutPictures(shown, seed));
    this.nearest = banks(own).map(({ patches, name }) => {
      const some = samplesOfAll(world, this.memory.samples(undefined, this.perImage(patches)));
      const search = new PatchSearch(some, own, device);
      this.owned.push(search);
      return new Segmenter(name, this.options, (rows) => search.classify(rows));
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
    const name = linearName(sliding);
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
