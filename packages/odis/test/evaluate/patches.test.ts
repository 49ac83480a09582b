import { readFileSync } from "node:fs";
import { fromBuffer, noGrad, tidy } from "@odis/torch";
import { array, assert, constantFrom, integer, nat, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { Rng } from "../../src/core/rng.js";
import { score } from "../../src/evaluate/outcome.js";
import { drawPatches, iouCounts, patchShares } from "../../src/evaluate/patches.js";
import { PatchSearch, scoresOfPatches } from "../../src/evaluate/segmenter.js";

/** Random numbers from a list. */
function listed(numbers: readonly number[]): Pick<Rng, "uniform"> {
  const left = [...numbers];
  return { uniform: () => left.shift()! };
}

describe("drawPatches", () => {
  // Class 0 is shown by patches 0, 1 and 2, class 1 by 2 and 3, class 2 by 3; nobody knows what 4 shows.
  const shares = Float32Array.of(1, 0, 0, 1, 0, 0, 0.9, 0.1, 0, 0, 0.5, 0.5, 0, 0, 0);

  it("takes the least products of how many patches show what a patch shows, and chance", () => {
    // By hand: scores 3, 3, 3 + 2, 2 + 1.
    const numbers = listed([0.5, 0.9, 0.25, 0.6, 0]);
    expect(drawPatches(shares, 3, 9, "balanced", numbers)).toEqual([2, 0, 3, 1]);
    expect(drawPatches(shares, 3, 2, "balanced", listed([0.3, 0.2, 0.19, 0.3, 0]))).toEqual([1, 0]);
    expect(drawPatches(shares, 3, 2, "uniform", listed([0.3, 0.2, 0.19, 0.3, 0]))).toEqual([2, 1]);
  });

  it("is not Efraimidis' and Spirakis' draw: scores 1, 2, 2 let the first win 7 times in 12", () => {
    // ∫ (1 - u / 2)² du = 7 / 12, where chances in proportion to 1 / score would be 1 / 2.
    const three = Float32Array.of(1, 0, 0, 1, 0, 1);
    const draws = Array.from({ length: 20_000 }, (_, seed) =>
      drawPatches(three, 2, 1, "balanced", new Rng("least of three", seed)),
    );
    const wins = draws.filter(([first]) => first === 0).length;
    expect(Math.abs(wins / 20_000 - 7 / 12)).toBeLessThan(0.012); // 3.4 standard deviations
  });

  it("prefers patches of rare classes, and leaves those of two classes behind both's", () => {
    // 60 patches of background, 20 of an object, 20 of its border.
    const rows = Array.from({ length: 100 }, (_, n) =>
      n < 60 ? [1, 0] : n < 80 ? [0, 1] : [0.5, 0.5],
    );
    const shown = Float32Array.from(rows.flat());
    const draws = Array.from({ length: 400 }, (_, seed) =>
      drawPatches(shown, 2, 10, "balanced", new Rng("rare", seed)),
    ).flat();
    const share = (from: number, to: number) =>
      draws.filter((n) => n >= from && n < to).length / draws.length / (to - from);
    // Scores 80, 40 and 120, of which the least products are about as frequent as 1 / score.
    expect(share(60, 80) / share(0, 60)).toBeGreaterThan(1.7);
    expect(share(80, 100) / share(0, 60)).toBeLessThan(0.8);
  });

  it("leaves no patch that is less than one that it takes, whatever pictures show", () => {
    const patch = array(constantFrom(0, 0, 0, 0.25, 1), { minLength: 4, maxLength: 4 });
    const cases = record({
      patches: array(patch, { minLength: 1, maxLength: 30 }),
      count: integer({ min: 1, max: 40 }),
      seed: nat(),
    });
    assert(
      property(cases, ({ patches, count, seed }) => {
        const shown = (n: number) => [0, 1, 2, 3].filter((c) => patches[n]![c]! > 0);
        const often = [0, 1, 2, 3].map(
          (c) => patches.filter((_, n) => shown(n).includes(c)).length,
        );
        const numbers = new Rng("any", seed);
        const products = patches.map((_, n) => {
          const number = numbers.uniform();
          return shown(n).reduce((sum, c) => sum + often[c]!, 0) * number;
        });
        const draw = (most: number) =>
          drawPatches(Float32Array.from(patches.flat()), 4, most, "balanced", new Rng("any", seed));
        const drawn = draw(count);
        const known = patches.flatMap((_, n) => (shown(n).length > 0 ? [n] : []));
        expect(drawn).toHaveLength(Math.min(count, known.length));
        expect(new Set(drawn).size).toBe(drawn.length);
        const most = Math.max(...drawn.map((n) => products[n]!));
        for (const n of known) if (!drawn.includes(n)) expect(products[n]!).toBeGreaterThan(most);
        for (const n of drawn) expect(known).toContain(n);
        // A smaller memory has the first of them.
        expect(draw(1)).toEqual(drawn.slice(0, 1));
      }),
    );
  });
});

const numbers = z.array(z.number());
const pictures = z.array(z.object({ shown: numbers, features: numbers, numbers, drawn: numbers }));
const settings = { size: z.int(), patch: z.int(), classes: z.int(), width: z.int() };
const found = z
  .object({
    ...settings,
    taken: z.int(),
    k: z.int(),
    temperature: z.number(),
    train: pictures,
    test: pictures,
    miou: z.number(),
  })
  .parse(
    JSON.parse(
      readFileSync(
        new URL("../fixtures/evaluation/nearest-patches.json", import.meta.url).pathname,
        "utf8",
      ),
    ),
  );

describe("segmentation by nearest patches", () => {
  const { size, patch, classes, width, taken } = found;
  const sharesOf = ({ shown }: { shown: readonly number[] }) =>
    patchShares(Int16Array.from(shown), size, patch, classes);

  it("draws the patches that numpy draws", () => {
    for (const picture of found.train)
      expect(
        drawPatches(sharesOf(picture), classes, taken, "balanced", listed(picture.numbers)),
      ).toEqual(picture.drawn);
  });

  it("finds the mean intersection over union that PyTorch finds", () => {
    const rows = found.train.flatMap((picture) =>
      picture.drawn.map((n) => ({
        feature: picture.features.slice(n * width, (n + 1) * width),
        shares: sharesOf(picture).subarray(n * classes, (n + 1) * classes),
      })),
    );
    const samples = {
      features: Float32Array.from(rows.flatMap(({ feature }) => feature)),
      targets: Float32Array.from(rows.flatMap(({ shares }) => [...shares])),
      width,
      classes,
    };
    using search = new PatchSearch(samples, found, "cpu");
    const sums = new Float64Array(2 * classes);
    for (const { shown, features } of found.test) {
      const told = noGrad(() =>
        tidy(() => {
          const patches = fromBuffer(Float32Array.from(features), [
            1,
            features.length / width,
            width,
          ]);
          const options = { frame: "whole", size, patch, classes } as const;
          const scores = scoresOfPatches(patches, options, (all) => search.classify(all));
          return scores.argmax(1).to({ dtype: "int32" }).toArray() as Int32Array;
        }),
      );
      const { intersections, unions } = iouCounts(told, shown, classes);
      for (const [at, n] of [...intersections, ...unions].entries()) sums[at]! += n;
    }
    expect(score("iou", sums)).toBeCloseTo(found.miou, 5);
  });
});
