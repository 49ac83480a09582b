import { unshared } from "./unshared.js";
import { World } from "../../src/train/world.js";
import { liveTensors, noGrad, tidy } from "@odis/torch";
import { describe, expect, it } from "vitest";
import type { FeatureSet } from "../../src/features/object-features.js";
import { linearShares } from "../../src/evaluate/suites/linear.js";
import {
  chooseProbe,
  type ProbedFeature,
  probedFeatures,
  type Probes,
  probeSettings,
  type Samples,
  trainProbes,
} from "../../src/evaluate/probe.js";
import { Rng } from "../../src/core/rng.js";
import { expectClose } from "../golden.js";

const rng = new Rng("probe test");
const normals = (n: number): Float32Array => Float32Array.from({ length: n }, () => rng.normal());
const settings = { epochs: 1, batch: 1000, learningRates: [0, 0.5, 20] };
const where = { seed: 3, device: "cpu" };

/** [n, L, classes] as nested numbers */
function logits(probes: Probes, at: number, samples: Samples): Float32Array {
  return noGrad(() => tidy(() => probes.logits(at, probes.upload(samples)).toFloat32()));
}

describe("training probes, by hand", () => {
  const [n, width, classes] = [6, 4, 3];
  const shares = Array.from({ length: n }, (_, i) => (i % 2 === 0 ? [1, 0, 0] : [0, 0.25, 0.75]));
  const samples: Samples = {
    features: normals(n * width),
    width,
    classes,
    targets: Float32Array.from(shares.flat()),
  };
  const columns = [
    { from: 0, width: 4 },
    { from: 1, width: 2 },
  ];
  /** Rows that read the weights: one a column, and zeros for the bias. */
  const eye: Samples = {
    ...samples,
    features: Float32Array.from({ length: 20 }, (_, i) => Number(i % 5 === 0 && i < 16)),
  };

  /** [width + 1][classes] of the probe at a learning rate: weights, and the bias at the end. */
  const weightsOf = (probes: Probes, at: number, rate: number): number[][] => {
    const all = logits(probes, at, eye);
    const row = (r: number): number[] =>
      Array.from({ length: classes }, (_, c) => all[(r * 3 + rate) * classes + c]!);
    const bias = row(4);
    return [...[0, 1, 2, 3].map((r) => row(r).map((value, c) => value - bias[c]!)), bias];
  };

  /** Gradient of the mean cross-entropy at given weights, in doubles. */
  const gradient = (weights: readonly number[][], from: number, to: number): number[][] => {
    const grad = weights.map((row) => row.map(() => 0));
    for (let i = 0; i < n; i += 1) {
      const x = [...samples.features.subarray(i * width, (i + 1) * width), 1].map((v, d) =>
        d === 4 || (d >= from && d < to) ? v : 0,
      );
      const scores = [0, 1, 2].map((c) => x.reduce((sum, v, d) => sum + v * weights[d]![c]!, 0));
      const total = scores.reduce((sum, s) => sum + Math.exp(s), 0);
      for (const [d, v] of x.entries())
        for (let c = 0; c < classes; c += 1)
          grad[d]![c]! += ((Math.exp(scores[c]!) / total - shares[i]![c]!) * v) / n;
    }
    return grad;
  };

  it.each([0, 1])("takes steps of SGD with momentum on a cosine (columns %i)", async (at) => {
    const { from, width: wide } = columns[at]!;
    const train = (epochs: number) => trainProbes(samples, columns, { ...settings, epochs }, where);
    using one = await train(1);
    using two = await train(2);
    const start = weightsOf(one, at, 0); // the probe whose learning rate is 0 stands still
    for (const [rate, lr] of settings.learningRates.entries()) {
      const step = (lr * n) / 256; // batch 1000 is cut to the six samples there are
      const g1 = gradient(start, from, from + wide);
      const after = start.map((row, d) => row.map((w, c) => w - step * g1[d]![c]!));
      expectClose(weightsOf(one, at, rate).flat(), after.flat(), { what: `lr ${lr}` });
      const g2 = gradient(after, from, from + wide);
      const second = after.map((row, d) =>
        row.map((w, c) => w - 0.5 * step * (0.9 * g1[d]![c]! + g2[d]![c]!)),
      );
      expectClose(weightsOf(two, at, rate).flat(), second.flat(), { what: `lr ${lr}, 2 steps` });
    }
  });

  it("trains each probe as if it were alone, from the same bits for the same seed", async () => {
    const sweep = { epochs: 3, batch: 2, learningRates: [0.1, 10] };
    using both = await trainProbes(samples, columns, sweep, where);
    using again = await trainProbes(samples, columns, sweep, where);
    using alone = await trainProbes(samples, columns, { ...sweep, learningRates: [10] }, where);
    using other = await trainProbes(samples, columns, sweep, { ...where, seed: 4 });
    const all = logits(both, 1, samples);
    expect(logits(again, 1, samples)).toEqual(all);
    expect(logits(other, 1, samples)).not.toEqual(all);
    const second = all.filter((_, i) => Math.floor(i / classes) % 2 === 1);
    expectClose(logits(alone, 1, samples), second);
    const one = noGrad(() =>
      tidy(() => both.logitsOf({ at: 1, rate: 1, score: 0 }, both.upload(samples)).toFloat32()),
    );
    expectClose(one, second);
  });

  it("stops when it is told to, and frees what it made", async () => {
    const before = liveTensors();
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(trainProbes(samples, columns, settings, { ...where, signal })).rejects.toThrow(
      "enough",
    );
    (await trainProbes(samples, columns, settings, where))[Symbol.dispose]();
    expect(liveTensors()).toBe(before);
  });

  it("chooses by the score, then by the cross-entropy", async () => {
    using probes = await trainProbes(samples, columns, { ...settings, epochs: 30 }, where);
    const wanted = chooseProbe(probes, samples, () => 0.5);
    const loss = (at: number, rate: number): number => {
      const all = logits(probes, at, samples);
      return shares.reduce((sum, target, i) => {
        const row = [0, 1, 2].map((c) => all[(i * 3 + rate) * classes + c]!);
        const total = Math.log(row.reduce((t, v) => t + Math.exp(v), 0));
        return sum - target.reduce((t, share, c) => t + share * (row[c]! - total), 0);
      }, 0);
    };
    const losses = [0, 1].flatMap((at) =>
      [0, 1, 2].map((rate) => ({ at, rate, loss: loss(at, rate) })),
    );
    const least = losses.toSorted((a, b) => a.loss - b.loss)[0]!;
    expect(wanted).toEqual({ at: least.at, rate: least.rate, score: 0.5 });
  });
});

/** Objects in images of two each; column 0 tells the class, columns 1.. are the object's own. */
function objects(images: number, first: number, own: number): FeatureSet {
  const items = Array.from({ length: 2 * images }, (_, i) => ({
    key: `${first + (i >> 1)}.jpg`,
    image: first + (i >> 1),
    picture: first + (i >> 1),
    object: i % 2,
    area: 1,
  }));
  const width = 1 + own;
  const features = new Float32Array(items.length * width);
  const labels = new Int32Array(items.length);
  for (const row of items.keys()) {
    labels[row] = row % 3 === 0 ? 1 : 0;
    features[row * width] = (labels[row] === 1 ? 1 : -1) + 0.1 * rng.normal();
    features[row * width + 1 + (row % own)] = 20;
  }
  return { items, labels, features, width };
}

describe("linear classification of objects", () => {
  const bank = objects(40, 0, 80);
  const queries = objects(10, 100, 80);
  const telling: ProbedFeature = { from: 0, width: 1, blocks: 1, average: false };
  const memory: ProbedFeature = { from: 1, width: 80, blocks: 4, average: false };
  const settings = probeSettings.probe.parse({});
  const options = { classes: 2, settings, seed: 0, device: "cpu", world: World.alone };

  it("reaches 100 % where a line divides the classes, and says by which probe", async () => {
    const { measured, probe } = await linearShares(
      unshared(bank),
      unshared(queries),
      [telling],
      options,
    );
    expect(measured.map(([name]) => name)).toEqual(["linear/top1", "linear/top5"]);
    for (const [, outcome] of measured) {
      if (outcome.kind !== "share") throw new Error("not a share");
      expect([...outcome.hits]).toEqual(Array.from({ length: 20 }, () => 1));
      expect(outcome.images[3]).toBe("101.jpg");
    }
    expect(probe).toMatchObject({ blocks: 1, average: false, validation: 1 });
    expect(options.settings.learningRates).toContain(probe.learningRate);
  });

  it("chooses what is good on images that it was not trained on", async () => {
    // Every object has a column of its own: training is perfect by heart, and of no use elsewhere.
    const { probe } = await linearShares(
      unshared(bank),
      unshared(queries),
      [memory, telling],
      options,
    );
    expect(probe).toMatchObject({ blocks: 1, validation: 1 });
  });

  it("does not look at test classes when it chooses", async () => {
    const lying = { ...queries, labels: queries.labels.map((label) => 1 - label) };
    const honest = await linearShares(
      unshared(bank),
      unshared(queries),
      [memory, telling],
      options,
    );
    const lied = await linearShares(unshared(bank), unshared(lying), [memory, telling], options);
    expect(lied.probe).toEqual(honest.probe);
    const firstHit = ({ measured }: typeof honest): number | undefined => {
      const outcome = measured[0]?.[1];
      return outcome?.kind === "share" ? outcome.hits[0] : undefined;
    };
    expect([firstHit(honest), firstHit(lied)]).toEqual([1, 0]);
  });

  it("needs two images, and says so", async () => {
    const one = unshared(objects(1, 0, 80));
    await expect(linearShares(one, unshared(queries), [telling], options)).rejects.toThrow(
      "the train data has 1 image with a labelled object. Wanted 2 or more, or another suite.",
    );
  });

  it("tries one block and four, without and with the mean of patches", () => {
    const names = probedFeatures(12, 10, "token").map(({ from, width }) => [from, width]);
    // Rows: blocks 9, 10, 11, 12, mean of patches; ten columns each.
    expect(names).toEqual([
      [30, 10],
      [30, 20],
      [0, 40],
      [0, 50],
    ]);
    expect(probedFeatures(3, 10, "pooled").map(({ from, width }) => [from, width])).toEqual([
      [20, 10],
      [0, 30],
    ]);
    expect(probedFeatures(1, 10, "pooled")).toHaveLength(1);
  });
});
