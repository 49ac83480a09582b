import { format } from "d3-format";
import { z } from "zod";
import {
  type Consumer,
  type FramedImage,
  type PassReader,
  type Window,
} from "../../features/index.js";
import { augmentedWindows } from "../augmented.js";
import type { EvaluationOptions } from "../options.js";
import { type ChosenProbe, probeOptions, type ProbeSettings, probeSettings } from "../probe.js";
import type { ReadData } from "../reading.js";
import type { Representation } from "../representations.js";
import { Segmentation } from "../segmentation.js";
import { type Figure, type Finding, type Job, nameOf, type Split, suite } from "../suite.js";
import { checkSliding, type Reading, type Sliding, WindowPasses, windowsOf } from "../windows.js";

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
      /**
       * how often each image fills the memory, cropped and coloured anew each time; 0: once, as test images
       * are seen; published: 2
       */
      epochs: z.int().min(0).default(0),
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
    help: "patches in the memory of segmentation by nearest neighbours, rather those of an image's rare classes; several sizes are figures of one table (published: 10240,102400,1024000,10240000)",
    type: { kind: "number", whole: true, many: true, min: 1 },
    path: "dense.bank",
  },
  denseEpochs: {
    help: "how often each image fills the memory, with other crops and colours each time (published: 2; 0: once, as it is)",
    type: { kind: "number", whole: true, min: 0 },
    path: "dense.epochs",
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
    help: "pixels from one window to the next, at most the crop; scores are averaged where windows overlap (published: 341; default: two thirds of the crop)",
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
    meaning: `Segmentation: each patch of a test image is told from patches of the bank, by the most similar ones or by a linear classifier, and the image is coloured in from its patches; mean over classes (background is one) of intersection over union. What is in front of something larger is what counts.${epochsMeaning(settings.dense)}${slidingMeaning(slidingOf(settings))}`,
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

/** One bank has the name that it had when there could be only one, and all were of images as they are. */
function banks({ bank, epochs }: Pick<DenseSettings, "bank" | "epochs">) {
  const several = new Set(bank).size > 1;
  const way = epochs > 0 ? "knn-augmented" : "knn";
  const times = epochs > 0 ? `, ${epochs} × augmented` : "";
  return [...new Set(bank)].map((patches) => {
    const name = several ? `${way}-${patches}` : way;
    const title = `${several ? `k-NN of ${count(patches)}` : "k-NN"}${times}`;
    const figure: Figure = { key: `dense-${name}`, title, measure: `dense/${name}/miou` };
    return { patches, name, figure };
  });
}

function epochsMeaning({ epochs }: Pick<DenseSettings, "epochs">): string {
  if (epochs === 0) return "";
  const times = epochs === 1 ? "once" : `${epochs} times`;
  return ` The bank of nearest patches saw each of its images ${times}, each time another crop in somewhat other colours.`;
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
                banks: banks(settings.dense),
                linear: linearName(sliding),
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
    consumers: (split: Split): readonly Consumer[] => {
      const { dense: own, size: input } = settings;
      const show = (
        side: number,
        windows: (image: FramedImage) => readonly Window[],
        reading: (one: Segmentation) => Reading,
      ) => new WindowPasses(side, windows, [...all.values()].map(reading));
      return [
        ...(split === "train" && own.epochs > 0
          ? [
              show(
                input,
                (image) => augmentedWindows(image, { ...settings, epochs: own.epochs }),
                (one) => one.augmented(),
              ),
            ]
          : []),
        ...(sliding
          ? [
              show(
                sliding.crop,
                ({ sample }) => windowsOf(sample, sliding),
                (one) => one.windows(split),
              ),
            ]
          : []),
      ];
    },
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
