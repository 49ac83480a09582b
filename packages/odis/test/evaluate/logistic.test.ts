import { fromBuffer, liveTensors, noGrad, tidy } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { minimised } from "../../src/evaluate/lbfgs.js";
import { LogisticRegression, logisticPlaces } from "../../src/evaluate/logistic.js";
import { expectClose } from "../golden.js";
import { witness, witnessSet } from "./suites/witness.js";

const { classes, queries } = witness;

describe("logistic regression", () => {
  it.each(witness.logistic)("is scikit-learn's for C = $c", ({ c, weight, predictions, loss }) => {
    const before = liveTensors();
    using fitted = LogisticRegression.fit(witnessSet("bank"), { classes, c, device: "cpu" });
    const logits = fitted.logits(witnessSet("queries"));
    const row = (n: number): number[] => [...logits.subarray(n * classes, (n + 1) * classes)];
    expect(queries.labels.map((_, n) => row(n).indexOf(Math.max(...row(n))))).toEqual(predictions);
    const losses = queries.labels.map((label, n) => {
      const total = row(n).reduce((sum, value) => sum + Math.exp(value), 0);
      return Math.log(total) - row(n)[label]!;
    });
    expect(losses.reduce((sum, value) => sum + value, 0) / losses.length).toBeCloseTo(loss, 3);
    // All biases may move together without a change: what a penalty holds can be compared.
    const mine = fitted.weights();
    expectClose(mine.slice(0, -classes), weight.slice(0, -classes), { rtol: 1e-3, atol: 1e-3 });
    expect(liveTensors()).toBe(before + 1);
  });

  it("comes to the same place from another start", () => {
    const options = { classes, device: "cpu" };
    using near = LogisticRegression.fit(witnessSet("bank"), { ...options, c: 100 });
    using cold = LogisticRegression.fit(witnessSet("bank"), { ...options, c: 1 });
    using warm = LogisticRegression.fit(witnessSet("bank"), { ...options, c: 1, start: near });
    expectClose(warm.weights(), cold.weights(), { rtol: 1e-4, atol: 1e-4 });
  });

  it("chooses its penalty without the test, and never answers with an unknown class", () => {
    const bank = witnessSet("bank");
    const options = { classes, seed: 0, device: "cpu" };
    const before = liveTensors();
    const places = logisticPlaces(bank, witnessSet("queries"), options);
    const share = places.filter((place) => place === 0).length / places.length;
    const best = Math.max(...witness.logistic.map(({ top1 }) => top1));
    expect(share).toBeGreaterThan(best - 0.1);
    expect(share).toBeLessThanOrEqual(best + 0.05);
    const without = { ...bank, labels: bank.labels.map((label) => (label === 2 ? 1 : label)) };
    for (const [row, place] of logisticPlaces(without, witnessSet("queries"), options).entries())
      expect(place === Infinity).toBe(queries.labels[row] === 2);
    expect(liveTensors()).toBe(before);
  });

  it("stops when asked to", () => {
    const stop = () => true;
    using fitted = LogisticRegression.fit(witnessSet("bank"), {
      classes,
      c: 1,
      device: "cpu",
      stop,
    });
    expect(new Set(fitted.weights())).toEqual(new Set([0]));
  });
});

describe("minimised", () => {
  it("finds the bottom of a long, narrow and turned valley", () => {
    const before = liveTensors();
    const found = noGrad(() => {
      const wanted = fromBuffer(Float64Array.of(3, -2), [2]);
      const at = (point: typeof wanted) => {
        const [a, b] = point.sub(wanted).toNumbers() as [number, number];
        const [along, across] = [a + b, a - b];
        const value = along ** 2 + 1000 * across ** 2;
        const gradient = Float64Array.of(2 * along + 2000 * across, 2 * along - 2000 * across);
        return { value, gradient: fromBuffer(gradient, [2]) };
      };
      const start = fromBuffer(Float64Array.of(50, 40), [2]);
      const end = tidy(() => minimised(at, start, { steps: 100, tolerance: 1e-9 }).toNumbers());
      wanted.free();
      return end;
    });
    expectClose(found, [3, -2], { rtol: 1e-8, atol: 1e-8 });
    expect(liveTensors()).toBe(before);
  });
});
