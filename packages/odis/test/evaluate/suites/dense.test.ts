import { rmSync } from "node:fs";
import { join } from "node:path";
import { fromBuffer, Generator, liveTensors, noGrad, tidy } from "@odis/torch";
import { recolor } from "@odis/torch/images";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataSource, openSource } from "../../../src/data/dataset.js";
import { augmentedWindows } from "../../../src/evaluate/augmented.js";
import { evaluate, type EvaluateOptions, type Evaluation } from "../../../src/evaluate/evaluate.js";
import { type FramedImage, frameObject, framePixels } from "../../../src/features/frame.js";
import { drawPatches, iouCounts, labelMap, patchShares } from "../../../src/evaluate/patches.js";
import { type IouOutcome, score } from "../../../src/evaluate/outcome.js";
import {
  describeEvaluation,
  type EvaluationSettings,
  type SuiteName,
} from "../../../src/evaluate/settings.js";
import { readOutcomes, writeOutcomes } from "../../../src/evaluate/outcome.js";
import { inputImages, Passes } from "../../../src/features/passes.js";
import { PatchSample } from "../../../src/evaluate/patches.js";
import { PatchSearch } from "../../../src/evaluate/segmenter.js";
import { WindowPasses } from "../../../src/evaluate/windows.js";
import type { Network } from "../../../src/model/network.js";
import { Rng } from "../../../src/core/rng.js";
import { recipeSchema } from "../../../src/recipe/schema.js";
import { buildNetwork } from "../../../src/train/state.js";
import { expectClose } from "../../golden.js";
import { scratchFolder, tinyCoco } from "../tiny-coco.js";

const recipe = recipeSchema.parse({
  model: { dim: 32, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 8 },
  views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
});
const [size, classes, dim] = [32, 3, 32];
const view = { frame: "whole", size, patch: 8 } as const;
const folder = scratchFolder();
let network: Network;
let train: DataSource;
let test: DataSource;

beforeAll(async () => {
  const names = (letter: string, n: number) =>
    Array.from({ length: n }, (_, i) => `${letter}${i}.png`);
  train = await openSource(await tinyCoco(join(folder, "train"), names("a", 10), 1));
  test = await openSource(await tinyCoco(join(folder, "test"), names("b", 4), 2));
  network = buildNetwork(recipe, "teacher").init(new Generator(5)).requiresGrad_(false);
});
afterAll(() => {
  network.free();
  rmSync(folder, { recursive: true });
});

async function framed(source: DataSource, index: number): Promise<FramedImage> {
  const sample = await source.read(index);
  const objects = sample.objects.map((object, at) => ({
    index: at,
    object,
    seen: object,
    ...frameObject(sample, object, view)!,
  }));
  return { index, sample, pixels: framePixels(sample, view), objects };
}

/**
 * Patches that a memory of so many of each image and epoch holds: the crop's pixels and its labels are cut out
 * of the picture first, and only then resized.
 */
async function rememberedByHand(epochs: number, perEpoch: number) {
  const memory: { feature: Float32Array; shares: Float32Array }[] = [];
  for (let i = 0; i < train.size; i += 1) {
    const { index, sample } = await framed(train, i);
    for (const window of augmentedWindows({ index, sample }, { ...view, epochs, seed: 0 })) {
      const { x: left, y: top, width, height } = window.box;
      const at = (n: number) => (top + Math.floor(n / width)) * sample.width + left + (n % width);
      const rgb = Uint8Array.from(
        { length: 3 * width * height },
        (_, byte) => sample.rgb[3 * at(Math.floor(byte / 3)) + (byte % 3)]!,
      );
      const pixels = framePixels({ ...sample, width, height, rgb, objects: [] }, view);
      recolor(pixels, size, window.steps!);
      const map = new Int16Array(size * size);
      for (const object of sample.objects.toSorted((a, b) => b.area - a.area))
        for (const n of map.keys()) {
          const [y, x] = [Math.floor(n / size), n % size];
          const row = Math.floor(((y + 0.5) * height) / size);
          const column = Math.floor(((x + 0.5) * width) / size);
          if (object.pixels()[at(row * width + column)]) map[n] = object.label + 1;
        }
      const shares = patchShares(map, size, 8, classes);
      const rng = new Rng(
        "patches",
        "balanced",
        0,
        index,
        ...(window.index > 0 ? [window.index] : []),
      );
      const features = patchFeatures(pixels);
      for (const n of drawPatches(shares, classes, perEpoch, "balanced", rng))
        memory.push({
          feature: features[n]!,
          shares: shares.slice(n * classes, (n + 1) * classes),
        });
    }
  }
  return memory;
}

/** [N][D] */
function patchFeatures(pixels: Uint8Array): Float32Array[] {
  const all = noGrad(() =>
    tidy(() => {
      const tokens = network.forward(inputImages(network, size, [pixels]));
      return network.backbone.layout.patchesOf(tokens).toFloat32();
    }),
  );
  return Array.from({ length: 16 }, (_, n) => all.slice(n * dim, (n + 1) * dim));
}

async function collected(perImage: number, rule: "balanced" | "uniform", seed = 0) {
  const sample = new PatchSample(dim, { ...view, classes, perImage, rule, seed });
  const passes = new Passes(network, "none", "token", size, [sample], 3);
  for (let i = 0; i < train.size; i += 1) passes.push(await framed(train, i));
  passes.finish();
  return sample;
}

describe("PatchSample", () => {
  it("takes every patch of every image where there is room", async () => {
    const all = (await collected(16, "uniform")).samples();
    expect([all.features.length / dim, all.targets.length / classes]).toEqual([160, 160]);
    const first = await framed(train, 0);
    const wanted = patchFeatures(framePixels(first.sample, view));
    const shares = patchShares(labelMap(first, view), size, 8, classes);
    const some = (await collected(16, "uniform")).samples((image) => image === 0);
    // In the order drawn: each row is one of the image's patches with that patch's shares.
    const rows = Array.from({ length: 16 }, (_, row) => {
      const feature = some.features.subarray(row * dim, (row + 1) * dim);
      const near = wanted.map((patch) => Math.hypot(...patch.map((v, d) => v - feature[d]!)));
      const n = near.indexOf(Math.min(...near));
      expect(near[n]).toBeLessThan(1e-4);
      expectClose(
        some.targets.subarray(row * classes, (row + 1) * classes),
        shares.subarray(n * classes, (n + 1) * classes),
      );
      return n;
    });
    expect(new Set(rows).size).toBe(16);
  });

  it("draws as many as asked of each image, the same for the same seed", async () => {
    const one = (await collected(5, "balanced")).samples();
    expect(one.features.length / dim).toBe(50);
    expect((await collected(5, "balanced")).samples()).toEqual(one);
    expect((await collected(5, "balanced", 1)).samples().features).not.toEqual(one.features);
  });
});

describe("PatchSearch", () => {
  it("mixes the labels of the nearest patches as written down by hand", () => {
    const rng = new Rng("patch search");
    const normals = (n: number) => Float32Array.from({ length: n }, () => rng.normal());
    const [features, queries] = [normals(50 * 4), normals(7 * 4)];
    const targets = Float32Array.from({ length: 150 }, () => rng.uniform());
    using search = new PatchSearch(
      { features, width: 4, targets, classes: 3 },
      { k: 6, temperature: 0.1 },
      "cpu",
    );
    const got = noGrad(() => tidy(() => search.classify(fromBuffer(queries, [7, 4])).toFloat32()));
    expectClose(got, byHand(features, queries, targets, { k: 6, temperature: 0.1 }));
  });
});

/** Cosine neighbours, softmax, mix: [P, classes], in doubles. */
function byHand(
  features: ArrayLike<number>,
  queries: ArrayLike<number>,
  targets: ArrayLike<number>,
  { k, temperature }: { k: number; temperature: number },
  width = 4,
): number[] {
  const row = (all: ArrayLike<number>, n: number, of: number): number[] =>
    Array.from({ length: of }, (_, i) => all[n * of + i]!);
  const dot = (a: number[], b: number[]): number => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  return Array.from({ length: queries.length / width }, (_, q) => {
    const query = row(queries, q, width);
    const similar = Array.from({ length: features.length / width }, (__, n) => {
      const key = row(features, n, width);
      return { n, s: dot(query, key) / Math.sqrt(dot(query, query) * dot(key, key)) };
    })
      .toSorted((a, b) => b.s - a.s)
      .slice(0, k);
    const weights = similar.map(({ s }) => Math.exp((s - similar[0]!.s) / temperature));
    const total = weights.reduce((sum, w) => sum + w, 0);
    return Array.from({ length: 3 }, (__, c) =>
      similar.reduce((sum, { n }, i) => sum + (weights[i]! / total) * targets[n * 3 + c]!, 0),
    );
  }).flat();
}

/** Intersections and unions over all test images. */
async function summed(
  countsOf: (image: FramedImage) => ReturnType<typeof iouCounts>,
): Promise<Float64Array> {
  const sums = new Float64Array(2 * classes);
  for (let i = 0; i < test.size; i += 1) {
    const { intersections, unions } = countsOf(await framed(test, i));
    for (const [c, n] of [...intersections, ...unions].entries()) sums[c]! += n;
  }
  return sums;
}

/** Scores [16, 3] of a grid 4 x 4 -> class of each of 32 x 32 pixels: bilinear, edges repeated. */
function colouredIn(scores: readonly number[]): number[] {
  const at = (pixel: number): [low: number, high: number, share: number] => {
    const place = Math.min(3, Math.max(0, (pixel + 0.5) / 8 - 0.5));
    const low = Math.floor(place);
    return [low, Math.min(3, low + 1), place - low];
  };
  return Array.from({ length: 32 * 32 }, (_, pixel) => {
    const [top, bottom, down] = at(Math.floor(pixel / 32));
    const [left, right, across] = at(pixel % 32);
    const value = (c: number): number => {
      const s = (y: number, x: number): number => scores[(4 * y + x) * 3 + c]!;
      const upper = s(top, left) * (1 - across) + s(top, right) * across;
      return (
        upper * (1 - down) + (s(bottom, left) * (1 - across) + s(bottom, right) * across) * down
      );
    };
    const values = [value(0), value(1), value(2)];
    return values.indexOf(Math.max(...values));
  });
}

const value = ({ measurements }: Evaluation, name: string): number =>
  measurements.find((m) => m.name === name)!.value;

describe("the suite", () => {
  /** The suite with some settings of its own, and of the evaluation. */
  const measured = (
    dense: Partial<EvaluationSettings["dense"]>,
    more: Partial<EvaluateOptions> = {},
  ) =>
    evaluate({
      recipe,
      trained: network,
      train,
      test,
      suites: ["dense"],
      baselines: false,
      dense: { bank: [160], k: 3, samples: 160, ...dense },
      probe: { epochs: 1 },
      ...more,
    });
  const run = (suites: readonly SuiteName[] = ["dense"]) =>
    measured({ k: 7 }, { suites, k: [3], probe: { epochs: 40 } });

  it("segments as an independent computation does", async () => {
    const before = liveTensors();
    const { evaluation, outcomes } = await run();
    expect(liveTensors()).toBe(before);
    const bank = (await collected(16, "balanced")).samples();
    const sums = await summed((image) => {
      const queries = patchFeatures(framePixels(image.sample, view)).flatMap((patch) => [...patch]);
      const options = { k: 7, temperature: 0.02 };
      const scores = byHand(bank.features, queries, bank.targets, options, dim);
      return iouCounts(colouredIn(scores), labelMap(image, view), classes);
    });
    expect(value(evaluation, "trained/dense/knn/miou")).toBeCloseTo(score("iou", sums), 2);
    expect(evaluation.measurements.map(({ name, n }) => [name, n])).toEqual([
      ["trained/dense/knn/miou", 4],
      ["trained/dense/linear/miou", 4],
    ]);
    const outcome = outcomes.get("trained/dense/linear/miou")!;
    expect(outcome.images).toEqual(["b0.png", "b1.png", "b2.png", "b3.png"]);
  });

  it("beats calling everything background, and gives the same numbers again", async () => {
    const [one, two] = [await run(), await run()];
    expect(two).toEqual(one);
    const sums = await summed((image) => {
      const map = labelMap(image, view);
      return iouCounts(new Uint8Array(map.length), map, classes);
    });
    for (const name of ["knn", "linear"])
      expect(value(one.evaluation, `trained/dense/${name}/miou`)).toBeGreaterThan(
        score("iou", sums),
      );
    expect(one.evaluation.probes).toMatchObject([{ name: "trained/dense/linear", blocks: 1 }]);
  });

  it("measures several banks in one go as it measures each alone", async () => {
    const sizes = [20, 160, 60, 4]; // four are fewer than there are images
    const { evaluation } = await measured({ bank: sizes });
    const names = sizes.map((size) => `knn-${size}`).map((name) => `trained/dense/${name}/miou`);
    expect(evaluation.measurements.map(({ name }) => name)).toEqual([
      ...names,
      "trained/dense/linear/miou",
    ]);
    const [table] = describeEvaluation(evaluation.settings).flatMap(({ tables }) => tables);
    expect(table!.figures.map(({ title }) => title)).toEqual([
      "k-NN of 20",
      "k-NN of 160",
      "k-NN of 60",
      "k-NN of 4",
      "linear",
    ]);
    const alone = await Promise.all(sizes.map((size) => measured({ bank: [size] })));
    expect(names.map((name) => value(evaluation, name))).toEqual(
      alone.map((one) => value(one.evaluation, "trained/dense/knn/miou")),
    );
    // Larger banks know more: were they all the same, this test would show nothing.
    expect(new Set(names.map((name) => value(evaluation, name))).size).toBe(4);
  });

  it("takes a bank of fewer patches than images from so many images", async () => {
    const { outcomes } = await measured({ bank: [1], k: 30 });
    // A memory of one patch calls all pixels what most of that patch is.
    const { intersections } = outcomes.get("trained/dense/knn/miou") as IouOutcome;
    const called = [...intersections.keys()].filter((at) => intersections[at]! > 0);
    expect(new Set(called.map((at) => at % classes)).size).toBe(1);
  });

  it("refuses a memory that nothing could hold, before it reads anything", async () => {
    const unread: DataSource = {
      size: train.size,
      classes: train.classes,
      key: (index) => train.key(index),
      read: () => Promise.reject(new Error("was read")),
    };
    await expect(measured({ bank: [10 ** 9] }, { train: unread, test: unread })).rejects.toThrow(
      `evaluation: dense bank 1000000000: its patches are ${(4 * 1e9 * dim) / 1e9} GB of features; a memory has at most ` +
        `17. Ask for fewer: --dense-bank ${Math.floor((2 ** 32 - 1) / dim)}.`,
    );
  });

  it("fills the memory from augmented images as an independent computation does", async () => {
    const before = liveTensors();
    // All patches vote: with few of them classes can be as good as equal.
    const vote = { k: 120, temperature: 0.1 };
    const { evaluation } = await measured({ epochs: 2, bank: [60, 120], ...vote });
    expect(liveTensors()).toBe(before);
    const names = evaluation.measurements.map(({ name }) => name);
    expect(names).toEqual([
      "trained/dense/knn-augmented-60/miou",
      "trained/dense/knn-augmented-120/miou",
      "trained/dense/linear/miou",
    ]);
    for (const [at, perEpoch] of [3, 6].entries()) {
      const memory = await rememberedByHand(2, perEpoch);
      const options = { ...view, classes, perImage: 12, rule: "balanced", seed: 0 } as const;
      const sample = new PatchSample(dim, options);
      const windows = (image: FramedImage) =>
        augmentedWindows(image, { ...view, epochs: 2, seed: 0 });
      const passes = new WindowPasses(size, windows, [{ network, readers: [sample] }]);
      for (let i = 0; i < train.size; i += 1) passes.push(await framed(train, i));
      passes.finish();
      const { features, targets } = sample.samples(undefined, 2 * perEpoch);
      expect([...targets]).toEqual(memory.flatMap(({ shares }) => [...shares]));
      const off = memory
        .flatMap(({ feature }) => [...feature])
        .map((wanted, n) => Math.abs(wanted - features[n]!));
      expect(Math.max(...off)).toBeLessThan(1e-4);
      const sums = await summed((image) => {
        const queries = patchFeatures(framePixels(image.sample, view)).flatMap((row) => [...row]);
        const scores = byHand(
          memory.flatMap(({ feature }) => [...feature]),
          queries,
          memory.flatMap(({ shares }) => [...shares]),
          vote,
          dim,
        );
        return iouCounts(colouredIn(scores), labelMap(image, view), classes);
      });
      expect(value(evaluation, names[at]!)).toBeCloseTo(score("iou", sums), 3);
    }
    const [described] = describeEvaluation(evaluation.settings);
    expect(described!.tables[0]!.figures.map(({ title }) => title)).toEqual([
      "k-NN of 60, 2 × augmented",
      "k-NN of 120, 2 × augmented",
      "linear",
    ]);
    expect(described!.meaning).toContain("saw each of its images 2 times, each time another crop");
  });

  it("measures several augmented banks in one go, and beside windows, as each alone", async () => {
    const of = ({ evaluation }: Awaited<ReturnType<typeof measured>>, name: string) =>
      value(evaluation, `trained/dense/knn-augmented${name}/miou`);
    const both = await measured({ epochs: 2, bank: [40, 160] });
    const windows = await measured({ epochs: 2, bank: [40, 160], crop: 48 });
    for (const bank of [40, 160]) {
      const alone = of(await measured({ epochs: 2, bank: [bank] }), "");
      expect([of(both, `-${bank}`), of(windows, `-${bank}`)]).toEqual([alone, alone]);
    }
    expect(of(both, "-40")).not.toBe(of(both, "-160"));
    // The linear head sees images as they are.
    const plain = await measured({ epochs: 0 });
    const linear = "trained/dense/linear/miou";
    expect(value(both.evaluation, linear)).toBe(value(plain.evaluation, linear));
    expect(value(plain.evaluation, "trained/dense/knn/miou")).not.toBe(
      of(await measured({ epochs: 1 }), ""),
    );
  });

  it("lets the linear head see windows", async () => {
    const before = liveTensors();
    const windows = (dense: { crop?: number; stride?: number }) =>
      measured(dense, { probe: { epochs: 20 } });
    const { evaluation, outcomes } = await windows({ crop: 48, stride: 16 });
    expect(liveTensors()).toBe(before);
    const [knn, linear] = evaluation.measurements;
    expect([knn!.name, linear!.name, linear!.n]).toEqual([
      "trained/dense/knn/miou",
      "trained/dense/linear-windows/miou",
      4,
    ]);
    expect(linear!.value).toBeGreaterThan(0.3);
    // Every pixel is counted once: the pictures are 64 x 48. A wrong one is in two classes' unions.
    const outcome = outcomes.get(linear!.name)!;
    const counted = outcome.kind === "iou" ? [...outcome.intersections, ...outcome.unions] : [];
    expect(counted.reduce((sum, n) => sum + n, 0)).toBe(2 * 4 * 64 * 48);
    expect(describeEvaluation(evaluation.settings)[0]!.tables[0]!.figures[1]!.title).toBe(
      "linear, 48 px every 16",
    );
    await expect(windows({ crop: 50 })).rejects.toThrow(
      "evaluation: crop 50 is not a multiple of the network's patch, 8. Wanted for example 48.",
    );
    await expect(windows({ stride: 341 })).rejects.toThrow(
      "evaluation: stride 341 is more than the crop, 32: pixels between windows would be seen by none. " +
        "Wanted at most 32, or a larger --dense-crop.",
    );
    await expect(windows({ crop: 48, stride: 49 })).rejects.toThrow(
      "evaluation: stride 49 is more than the crop, 48: pixels between windows would be seen by none. " +
        "Wanted at most 48, or a larger --dense-crop.",
    );
  });

  it("reads the passes of k-NN where there are some, with the same result", async () => {
    const alone = await run();
    const both = await run(["knn", "dense"]);
    const dense = both.evaluation.measurements.filter(({ name }) => name.includes("/dense/"));
    expect(dense).toEqual(alone.evaluation.measurements);
  });

  it("keeps the pixels of every image in the file of outcomes", async () => {
    const { outcomes } = await run();
    const file = join(folder, "outcomes.json");
    expect(readOutcomes(file, writeOutcomes(file, outcomes))).toEqual(outcomes);
  });
});
