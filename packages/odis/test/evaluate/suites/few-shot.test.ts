import { assert, array, double, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { Rng } from "../../../src/core/rng.js";
import { settingsOf } from "../../../src/evaluate/settings.js";
import { drawnShots, fewShotShares } from "../../../src/evaluate/suites/few-shot.js";
import { recipeSchema } from "../../../src/recipe/schema.js";
import { witness, witnessSet } from "./witness.js";

describe("few shots", () => {
  it("are a share of every class, at least one of each, the same for the same seed", () => {
    const labels = array(integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 200 });
    assert(
      property(labels, double({ min: 0.01, max: 1, noNaN: true }), (list, share) => {
        const all = Int32Array.from(list);
        const draw = () => drawnShots(all, share, new Rng("test", 3));
        const rows = draw();
        expect(draw()).toEqual(rows);
        expect(new Set(rows).size).toBe(rows.length);
        for (const label of new Set(list)) {
          const of = list.filter((one) => one === label).length;
          const drawn = rows.filter((row) => all[row] === label).length;
          expect(drawn).toBe(Math.max(1, Math.round(share * of)));
        }
      }),
    );
  });

  const shares = (share: number, draws: number, alive?: () => void) =>
    fewShotShares(witnessSet("bank"), witnessSet("queries"), share, {
      settings: {
        ...settingsOf({}, recipeSchema.parse({})),
        fewShot: { shares: [share], draws, k: 20 },
      },
      classes: witness.queries.labels.map(String).slice(0, witness.classes),
      device: "cpu",
      signal: undefined,
      ...(alive && { alive }),
    });
  const mean = (values: Float64Array): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;

  it("with all of the bank known are what everything known gives, in every draw", () => {
    const { knn, logistic } = Object.fromEntries(shares(1, 2));
    expect(new Set([...knn!, ...logistic!])).toEqual(new Set([0, 1]));
    const best = Math.max(...witness.logistic.map(({ top1 }) => top1));
    expect(mean(logistic!)).toBeGreaterThan(best - 0.1);
  });

  it("say that they are at work in every draw, and in each fit of it", () => {
    let said = 0;
    const count = (draws: number): number => {
      said = 0;
      shares(1, draws, () => (said += 1));
      return said;
    };
    const [one, two] = [count(1), count(2)];
    expect(one).toBeGreaterThan(1 + 7); // six penalties, and the one that was chosen
    expect(two).toBeGreaterThan(1.5 * one);
  });

  it("are worth less than all, and more than chance", () => {
    const [few, all] = [shares(0.1, 6), shares(1, 1)];
    for (const way of ["knn", "logistic"] as const) {
      expect(mean(few.get(way)!)).toBeLessThan(mean(all.get(way)!));
      expect(mean(few.get(way)!)).toBeGreaterThan(1 / witness.classes + 0.05);
      for (const value of few.get(way)!) expect(6 * value).toBeCloseTo(Math.round(6 * value), 9);
    }
  });
});
