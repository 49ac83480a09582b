import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { z } from "zod";
import type { Network } from "../../model/index.js";
import { World } from "../../train/index.js";
import {
  deviceOf,
  type FrameOptions,
  type PassReader,
  type PassRow,
  type PassTokens,
} from "../../features/index.js";
import { blockElements, unit } from "../neighbours.js";
import type { EvaluationOptions } from "../options.js";
import { type Measured, score } from "../outcome.js";
import { iouCounts, type IouCounts, labelMap, PatchSample } from "../patches.js";
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
import { joinedNumbers, shareOf } from "../shares.js";
import { type Finding, type Job, nameOf, type Split, suite } from "../suite.js";

const denseSettings = {
  /** How patches are told. Defaults: the published nearest-neighbour protocol's. */
  dense: z
    .strictObject({
      /** patches in the k-NN's memory, about; published: 10,240 times 10 to 1000 */
      bank: z.int().min(1).default(10_240),
      /** neighbours that each patch asks */
      k: z.int().min(1).default(30),
      /** of the softmax over their similarities */
      temperature: z.number().positive().default(0.02),
      /** patches that the linear head is trained on, about */
      samples: z.int().min(1).default(20_480),
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
    help: "patches in the memory of segmentation by nearest neighbours (published: 10,240, 102,400, 1,024,000 and 10,240,000)",
    type: { kind: "number", whole: true, min: 1 },
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
  ...probeOptions,
};

/** Segmentation by patch features. */
export const dense = suite({
  name: "dense",
  summary: "segmentation by patches",
  settings: { ...denseSettings, ...probeSettings },
  options,
  needs: () => ({ modes: [] }),
  watch: segmentations,
  measure: (_, watch) => watch.findings(),
  describe: () => ({
    meaning:
      "Segmentation: each patch of a test image is told from patches of the bank, by the most similar ones or by a linear classifier, and the image is coloured in from its patches; mean over classes (background is one) of intersection over union. What is in front of something larger is what counts.",
    tables: [
      {
        title: "segmentation by patches, mIoU, per cent",
        short: "segmentation",
        figures: [
          { key: "dense-knn", title: "k-NN", measure: "dense/knn/miou" },
          { key: "dense-linear", title: "linear", measure: "dense/linear/miou" },
        ],
      },
    ],
  }),
});

/** One segmentation for each representation that has patches. */
function segmentations({ representations, settings, classes, ...job }: Job<OwnSettings>) {
  const { patch, images, signal, world } = job;
  const options = { ...settings, patch, images, classes: classes.length + 1, world };
  const all = new Map(
    representations.flatMap(({ name, network }) =>
      network ? [[name, new Segmentation(network, options)] as const] : [],
    ),
  );
  const probes: ChosenProbe[] = [];
  return {
    readers: (split: Split, { name }: Representation): readonly PassReader[] =>
      all.get(name)?.readers(split) ?? [],
    async learn(bank: ReadData) {
      const pictures = new Map(bank.items.map(({ image, picture }) => [image, picture]));
      for (const [name, one] of all)
        probes.push({ name: nameOf(name, "dense/linear"), ...(await one.learn(pictures, signal)) });
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

export interface DenseOptions extends FrameOptions {
  /** with the background */
  readonly classes: number;
  /** images of the bank at most */
  readonly images: number;
  readonly dense: DenseSettings;
  readonly probe: ProbeSettings;
  readonly seed: number;
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
  private segmenters: readonly Segmenter[] = [];

  constructor(
    private readonly network: Network,
    private readonly options: DenseOptions,
  ) {
    const { images, dense } = options;
    const perImage = (patches: number): number => Math.max(1, Math.ceil(patches / images));
    const of = { memory: perImage(dense.bank), training: perImage(dense.samples) };
    const { dim } = network.backbone.config;
    this.memory = new PatchSample(dim, { ...options, perImage: of.memory, rule: "balanced" });
    this.training = new PatchSample(dim, { ...options, perImage: of.training, rule: "uniform" });
  }

  /** What reads the bank's passes, or the test images'. */
  readers(split: Split): readonly PassReader[] {
    return split === "train" ? [this.memory, this.training] : this.segmenters;
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
    const { classes, dense, probe, seed, world } = this.options;
    const device = deviceOf(this.network);
    const images = joinedNumbers(world, Int32Array.from(this.training.images));
    const shown = [...new Set(Array.from(images, (image) => pictures.get(image)!))];
    const held = world.agree(() => heldOutPictures(shown, seed));
    const search = new PatchSearch(samplesOfAll(world, this.memory.samples()), dense, device);
    this.owned.push(search);
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
    this.segmenters = [
      new Segmenter("knn", this.options, (patches) => search.classify(patches)),
      new Segmenter("linear", this.options, (patches) => probes.logitsOf(choice, patches)),
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
    return this.segmenters.map((one) => one.measured(this.options.world));
  }

  [Symbol.dispose](): void {
    for (const thing of this.owned) thing[Symbol.dispose]();
  }
}

/** What all processes have collected. */
function samplesOfAll(world: World, { features, targets, ...rest }: Samples): Samples {
  return {
    ...rest,
    features: joinedNumbers(world, features),
    targets: joinedNumbers(world, targets),
  };
}

/** What a patch shows, by some way: [P, D] features -> [P, classes] scores. */
export type Classify = (patches: Tensor) => Tensor;

/** Segments the images of passes and counts right pixels of the framed images. */
export class Segmenter implements PassReader {
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

  /** Of the images of all processes. */
  measured(world = World.alone): Measured {
    const { classes } = this.options;
    const { counts } = this;
    const images = world
      .shareText(JSON.stringify(this.images))
      .flatMap((text) => JSON.parse(text) as readonly string[]);
    const all = (of: (one: IouCounts) => Int32Array): Int32Array =>
      joinedNumbers(world, Int32Array.from(counts.flatMap((one) => Array.from(of(one)))));
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
