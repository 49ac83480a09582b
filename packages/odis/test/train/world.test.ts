import { setThreads, tensorScope } from "@odis/torch";
import { beforeAll, describe, expect, it } from "vitest";
import { type Batch, imagesOf } from "../../src/batches/batch.js";
import { Order } from "../../src/batches/order.js";
import { ConfigError } from "../../src/core/errors.js";
import { recipeLayers, type RecipeName, recipeNames } from "../../src/recipe/methods.js";
import { scheduleValuesAt } from "../../src/recipe/schedules.js";
import { type Recipe, resolveRecipe } from "../../src/recipe/schema.js";
import { trainOn } from "../../src/train/loop.js";
import { checkSharing, createState } from "../../src/train/state.js";
import type { StepReport } from "../../src/train/step.js";
import { expectClose, golden, goldenGroups } from "../golden.js";
import { type Job, type Outcome, trainInProcesses } from "./processes.js";
import {
  batchOf,
  contents,
  expectStep,
  expectWeight,
  initialWeights,
  type Inputs,
  recipeOf,
  type Trajectory,
} from "./trajectory.js";

const [B, G, L, N] = [8, 2, 2, 9];
const length = { stepsPerEpoch: 2, totalSteps: 8 };
const settings = {
  model: { dim: 16, depth: 2, heads: 2, patch: 8, dropPath: 0.2 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  views: { globals: { count: G, size: 24 }, locals: { count: L, size: 16 } },
  // A rate as in the golden trajectories, which the tolerance of weights is made for.
  optim: {
    batch: B,
    epochs: 4,
    lr: 0.06,
    lrBatch: 256,
    lrScaling: "linear",
    warmupEpochs: 0,
    freezeLastLayerEpochs: 1,
  },
};

const bytes = (count: number, seed: number): Uint8Array =>
  Uint8Array.from(
    { length: count },
    (_, i) => (7 * i * i + 3 * i + 11 * seed + Math.floor(i / 256)) % 251,
  );
const some = (count: number, seed: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => Number((5 * i + seed) % 7 < 2));

/** Which images have what no other has. */
interface Lacks {
  /** images without a present object */
  readonly objects?: readonly number[];
  /** images without a hidden patch */
  readonly hidden?: readonly number[];
}

function made(step: number, { views }: Recipe, { objects = [], hidden = [] }: Lacks): Batch {
  const O = views.object.count;
  const imageOf = (row: number, perImage: number): number => Math.floor(row / perImage) % B;
  const present = (count: number): Uint8Array =>
    Uint8Array.from({ length: count * B * O }, (_, row) =>
      Number((row * 5 + step) % 6 !== 0 && !objects.includes(imageOf(row, O))),
    );
  const visible = some(G * B * O * N, step);
  /** whether the recipe hides the patch number `at` of [G, B, N] */
  const mayHide = (at: number): boolean => {
    const row = Math.floor(at / N);
    const ofObject = (o: number): boolean => visible[(row * O + o) * N + (at % N)] === 1;
    return views.hidden.where === "view" || Array.from({ length: O }, (_, o) => o).some(ofObject);
  };
  return {
    step,
    size: B,
    objects: O,
    keys: Array.from({ length: B }, (_, image) => `image ${image}`),
    global: {
      views: G,
      size: 24,
      pixels: bytes(G * B * 3 * 24 * 24, step),
      visible,
      hidden: some(G * B * N, step + 3).map((bit, at) =>
        hidden.includes(imageOf(at, N)) || !mayHide(at) ? 0 : bit,
      ),
      present: present(G),
    },
    local: {
      views: L,
      size: 16,
      pixels: bytes(L * B * 3 * 16 * 16, step + 5),
      ...(views.locals.masked ? { visible: some(L * B * O * 4, step) } : {}),
      present: present(L),
    },
    stats: { wanted: G * B * O, tries: [1, 1], absent: 0, skipped: [] },
  };
}

interface Case extends Job {
  readonly name: string;
}

const lacking: Readonly<Record<string, Lacks>> = {
  "": {},
  ", a rank without a present object": { objects: [0, 1, 2, 3] },
  ", a rank without a hidden patch": { hidden: [4, 5, 6, 7] },
  ", no object and no hidden patch at all": {
    objects: [0, 1, 2, 3, 4, 5, 6, 7],
    hidden: [0, 1, 2, 3, 4, 5, 6, 7],
  },
};

function caseOf(name: string, recipe: Recipe, lacks: Lacks = {}): Case {
  const batches = [0, 1, 2, 3].map((step) => made(step, recipe, lacks));
  return { name, recipe, length, batches };
}

const resolve = (name: RecipeName, more: object): Recipe =>
  resolveRecipe([
    ...recipeLayers(name),
    { source: "test", values: settings },
    // At 1e-5 all images have the same features at first: who is nearest to whom is rounding.
    { source: "dinov2", values: name.includes("dinov2") ? { model: { layerScale: 1 } } : {} },
    { source: "more", values: { ...more } },
  ]);
/** All that compares images with each other. */
const comparing = (more: object = {}): object => ({ loss: { koleoWeight: 0.1, ...more } });

const cases: readonly Case[] = [
  ...recipeNames.flatMap((name) =>
    ["mean", "sinkhorn"].map((centering) =>
      caseOf(`${name}, ${centering}`, resolve(name, comparing({ centering }))),
    ),
  ),
  ...Object.entries(lacking).flatMap(([what, lacks]) =>
    (["odis", "odis-multi"] as const).flatMap((name) =>
      ["mean", "sinkhorn"].map((centering) =>
        caseOf(`${name}, ${centering}${what}`, resolve(name, comparing({ centering })), lacks),
      ),
    ),
  ),
  caseOf("odis, the mean over images", resolve("odis", comparing({ pairMean: "images" }))),
  caseOf(
    "odis-multi, a centre for each token and all patches in theirs",
    resolve("odis-multi", comparing({ objectCenters: "each", patchCenter: "all" })),
  ),
  caseOf("odis, in four pieces", resolve("odis", { ...comparing(), optim: { accumulate: 4 } })),
  caseOf("odis, recomputing", resolve("odis", { ...comparing(), optim: { memory: "recompute" } })),
  caseOf(
    "odis, recomputing in four pieces",
    resolve("odis", { ...comparing(), optim: { memory: "recompute", accumulate: 4 } }),
  ),
  caseOf("odis, streaming", resolve("odis", { optim: { memory: "stream" } })),
  ...(["keep", "recompute", "stream"] as const).map((memory) =>
    caseOf(
      `odis, ${memory}, optimiser shared`,
      resolve("odis", { optim: { memory, shard: true } }),
    ),
  ),
  caseOf("odis, clipped together", resolve("odis", { optim: { clipScope: "global", clip: 0.1 } })),
];

/** One process, the batch in as many pieces as there would be processes at least. */
function alone({ recipe, batches }: Job, processes: number): Outcome {
  using _scope = tensorScope();
  const { memory, accumulate } = recipe.optim;
  const pieces = memory === "stream" ? 1 : Math.max(accumulate, processes);
  using state = createState({ ...recipe, optim: { ...recipe.optim, accumulate: pieces } });
  const reports: StepReport[] = [];
  const tensors = batches.map((batch, step) => {
    reports.push(trainOn(state, batch, scheduleValuesAt(recipe, length, step)));
    return contents(state);
  });
  const updates = [...state.optimizer.state()].map(([name, one]) => [name, one.updates] as const);
  return {
    reports,
    tensors,
    updates: Object.fromEntries(updates),
    order: state.student.namedParameters().map(([name]) => name),
    moments: [...state.optimizer.state().values()].reduce(
      (sum, { mean }) => sum + 8 * mean.size,
      0,
    ),
    traffic: { messages: 0, bytes: 0 },
  };
}

function expectSameStep(got: StepReport, wanted: StepReport, what: string): void {
  const flat = ({ terms, similarities, gradientNorms, ...rest }: StepReport): number[] => [
    ...Object.values(terms),
    ...Object.values(similarities).map((one: number | undefined) => one ?? 0),
    ...gradientNorms.map((norm) => norm ?? -1),
    ...Object.values(rest),
  ];
  // The key third of qkv.bias has no gradient but noise; its norm is that of the other two thirds.
  expectClose(flat(got), flat(wanted), { what, rtol: 1e-4, atol: 1e-5 });
}

describe.each([2, 4])("%i processes equal one", (size) => {
  let together: readonly (readonly Outcome[])[];
  const fitting = cases.filter(({ recipe }) => {
    const { dropRule, dropPath } = recipe.model;
    // A subset is one of the images of a process: one that streams has no pieces to compare.
    return !(recipe.optim.memory === "stream" && dropRule === "subset" && dropPath > 0);
  });
  beforeAll(async () => {
    setThreads(1);
    together = await trainInProcesses(fitting, size);
  });

  for (const [at, one] of fitting.entries())
    it(one.name, () => {
      const [first, ...others] = together[at]!;
      const wanted = alone(one, size);
      for (const other of others) expect(other.reports).toEqual(first!.reports);
      for (const [step, report] of wanted.reports.entries()) {
        expectSameStep(first!.reports[step]!, report, `step ${step}`);
        const tensors = first!.tensors[step]!;
        expect([...tensors.keys()]).toEqual([...wanted.tensors[step]!.keys()]);
        for (const [name, values] of wanted.tensors[step]!)
          if (name.startsWith("centers.")) expectClose(tensors.get(name)!, values, { what: name });
          else if (!name.startsWith("optimizer."))
            expectWeight(`step ${step} ${name}`, tensors.get(name)!, values);
      }
      expect(first!.updates).toEqual(wanted.updates);
      if (one.recipe.optim.shard) {
        const moments = together[at]!.map((outcome) => outcome.moments);
        expect(moments.reduce((a, b) => a + b)).toBe(wanted.moments);
        expect(Math.max(...moments)).toBeLessThan((1.5 * wanted.moments) / size);
      }
    });
});

describe.each([2, 4])("the published steps on %i processes", (size) => {
  const inputs = new Map(
    goldenGroups("train-steps-")
      .filter((group) => group.includes("inputs"))
      .map((group) => [`${group}.safetensors`, golden<Inputs>(group)]),
  );
  const groups = goldenGroups("train-steps-").filter((group) => !group.includes("inputs"));
  const references = groups.map((group) =>
    golden<Trajectory>(group).leave(
      /^final|^step0\/(grad|logits)\//,
      "compared by the test of one process",
    ),
  );
  let together: readonly (readonly Outcome[])[];

  /** Every image as often as there are processes: means stay what they are, and shares are cut across images. */
  const repeated = (batch: Batch): Batch => {
    const images = Array.from({ length: batch.size }, (_, image) => imagesOf(batch, image, 1));
    const each = images.flatMap((image) => Array.from({ length: size }, () => image));
    return joined(each, batch);
  };

  beforeAll(async () => {
    const jobs = references.map((reference): Job => {
      const views = inputs.get(reference.info.inputs)!;
      const plain = recipeOf(reference.info, views.info);
      const { batch, lrBatch } = plain.optim;
      const { epochs, niter_per_epoch: stepsPerEpoch } = reference.info.config.optimizer;
      return {
        recipe: {
          ...plain,
          optim: { ...plain.optim, batch: batch * size, lrBatch: lrBatch * size },
        },
        length: { stepsPerEpoch, totalSteps: epochs * stepsPerEpoch },
        batches: reference.info.steps.map((_, step) => repeated(batchOf(views, step))),
        weights: initialWeights(reference),
      };
    });
    together = await trainInProcesses(jobs, size);
  });

  for (const [at, reference] of references.entries())
    it(reference.group, () => {
      const [first] = together[at]!;
      for (const step of reference.info.steps.keys())
        expectStep(reference, step, first!.tensors[step]!, first!.reports[step]!, first!.order);
    });
});

/** Batches of one image each, one after the other in one batch. */
function joined(images: readonly Batch[], like: Batch): Batch {
  const views = <T extends Float32Array | Uint8Array>(
    of: (image: Batch) => T,
    count: number,
  ): T => {
    const parts = Array.from({ length: count }, (_, view) =>
      images.flatMap((image) => {
        const rows = of(image);
        const one = rows.length / count;
        return [...rows.subarray(view * one, (view + 1) * one)];
      }),
    ).flat();
    return of(like) instanceof Float32Array
      ? (Float32Array.from(parts) as T)
      : (Uint8Array.from(parts) as T);
  };
  const { global, local } = like;
  return {
    ...like,
    size: images.length,
    keys: images.flatMap(({ keys }) => keys),
    global: {
      ...global,
      pixels: views((image) => drawn(image.global.pixels), global.views),
      visible: views((image) => image.global.visible, global.views),
      hidden: views((image) => image.global.hidden, global.views),
      present: views((image) => image.global.present, global.views),
    },
    local: {
      ...local,
      pixels: views((image) => drawn(image.local.pixels), local.views),
      present: views((image) => image.local.present, local.views),
    },
  };
}

describe("the order of images", () => {
  it("is one order, of which each process takes its share, whatever their number", () => {
    const source = { size: 50 };
    for (const size of [2, 3, 4, 12])
      for (const step of [0, 1, 3, 4, 9]) {
        const whole = new Order(7, source, 12).step(step);
        const shares = Array.from({ length: size }, (_, rank) =>
          new Order(7, source, 12, { rank, size }).step(step),
        );
        expect(shares.flatMap(({ indices }) => [...indices])).toEqual([...whole.indices]);
        expect(shares.map(({ epoch }) => epoch)).toEqual(shares.map(() => whole.epoch));
        // Views are drawn by the place in the epoch's order.
        expect(shares.map(({ position }) => position)).toEqual(
          shares.map((_, rank) => whole.position + (rank * 12) / size),
        );
      }
  });
});

describe("a batch that processes cannot share", () => {
  const shared = (optim: object, processes: number) => (): void =>
    checkSharing(resolve("odis", { optim: { batch: 12, ...optim } }), processes);
  it("is refused with what would do", () => {
    expect(shared({}, 5)).toThrow(ConfigError);
    expect(shared({}, 5)).toThrow(
      "optim.batch: got 12, shared by 5 processes; wanted a multiple of their number, e.g. 10",
    );
    expect(shared({ accumulate: 3 }, 2)).toThrow(
      /^optim\.accumulate: got 3, with 2 processes that have 6 images each; wanted 2 times a divisor/,
    );
    expect(shared({ accumulate: 2 }, 4)).not.toThrow(); // a piece each
    expect(shared({ accumulate: 6 }, 2)).not.toThrow();
  });
});

function drawn(pixels: Batch["global"]["pixels"]) {
  if ("plans" in pixels) throw new Error("these views are not drawn yet");
  return pixels;
}
