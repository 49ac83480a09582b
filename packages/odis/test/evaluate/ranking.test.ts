import { array, assert, double, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  averagePrecision,
  descending,
  landmarkScore,
  placeOfFirst,
} from "../../src/evaluate/ranking.js";
import { landmarkOutcomes } from "../../src/evaluate/suites/retrieval.js";
import { imageCounts, score } from "../../src/evaluate/outcome.js";
import { golden } from "../golden.js";
import { witness } from "./suites/witness.js";

describe("average precision", () => {
  it.each(witness.ties.map((one, at) => [at, one] as const))(
    "of equal scores is scikit-learn's (case %i)",
    (_, { scores, relevant, precision }) => {
      const found = averagePrecision(Float32Array.from(scores), Uint8Array.from(relevant));
      expect(found).toBeCloseTo(precision, 12);
    },
  );

  it("is 1 where all that is wanted comes first, and NaN where nothing is wanted", () => {
    const of = (...relevant: number[]) =>
      averagePrecision(Float32Array.of(4, 3, 2, 1), Uint8Array.from(relevant));
    expect([of(1, 1, 0, 0), of(0, 0, 0, 1), of(0, 1, 0, 1), of(0, 0, 0, 0)]).toEqual([
      1,
      0.25,
      0.5,
      NaN,
    ]);
  });

  it("is the mean precision at what is found, as written down", () => {
    const scores = array(double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 });
    assert(
      property(scores, integer(), (values, seed) => {
        const distinct = Float32Array.from(new Set(values.map(Math.fround)));
        const relevant = Uint8Array.from(distinct, (_, at) =>
          Number(((seed >> (at % 31)) & 1) === 1),
        );
        const order = [...descending(distinct)];
        let [hits, sum] = [0, 0];
        for (const [rank, at] of order.entries())
          if (relevant[at]) {
            hits += 1;
            sum += hits / (rank + 1);
          }
        const found = averagePrecision(distinct, relevant);
        if (hits === 0) expect(found).toBeNaN();
        else {
          expect(found).toBeCloseTo(sum / hits, 10);
          expect(placeOfFirst(distinct, relevant)).toBe(order.findIndex((at) => relevant[at]));
        }
      }),
    );
  });
});

describe("the revisited Oxford and Paris protocol, against iBOT's compute_map", () => {
  const reference = golden("metrics", "retrieval/");
  const protocol = z.object({
    map: z.number(),
    aps: z.array(z.number().nullable()),
    mean_precision_at: z.record(z.string(), z.number()),
    precision_at: z.array(z.array(z.number().nullable())),
  });
  const answer = z.object({
    easy: z.array(z.int()),
    hard: z.array(z.int()),
    junk: z.array(z.int()),
  });
  const { retrieval } = z
    .object({
      retrieval: z.object({
        gnd: z.array(answer),
        kappas: z.array(z.int()),
        protocols: z.object({ easy: protocol, medium: protocol, hard: protocol }),
      }),
    })
    .parse(reference.info);
  const { gnd, kappas, protocols } = retrieval;
  const [pictures, queries] = reference.shape("retrieval/ranks") as [number, number];
  const ranks = reference.integers("retrieval/ranks");
  const orders = Array.from({ length: queries }, (_, query) =>
    Array.from({ length: pictures }, (__, rank) => ranks[rank * queries + query]!),
  );
  const kinds = {
    easy: [["easy"], ["junk", "hard"]],
    medium: [["easy", "hard"], ["junk"]],
    hard: [["hard"], ["junk", "easy"]],
  } as const;

  it("ranks pictures as published, from unit features", () => {
    const [base, asked] = [reference.floats("retrieval/db"), reference.floats("retrieval/query")];
    const width = base.length / pictures;
    for (const [query, order] of orders.entries()) {
      const scores = Float32Array.from({ length: pictures }, (_, picture) => {
        let sum = 0;
        for (let k = 0; k < width; k += 1)
          sum += base[picture * width + k]! * asked[query * width + k]!;
        return sum;
      });
      expect([...descending(scores)]).toEqual(order);
    }
  });

  it.each(["easy", "medium", "hard"] as const)("%s, query by query", (name) => {
    const { aps, precision_at } = protocols[name];
    for (const [query, order] of orders.entries()) {
      const [positive, junk] = kinds[name].map(
        (some) => new Set(some.flatMap((kind) => gnd[query]![kind])),
      );
      const found = landmarkScore(order, positive!, junk!, kappas);
      if (aps[query] === null) expect(found).toBeUndefined();
      else {
        expect(found!.averagePrecision).toBeCloseTo(aps[query]!, 10);
        for (const [at, precision] of precision_at[query]!.entries())
          expect(found!.precisions[at]).toBeCloseTo(precision!, 10);
      }
    }
  });

  it("medium and hard as means over the queries that have something to find", () => {
    const truth = {
      qimlist: gnd.map((_, query) => `q${query}`),
      gnd: gnd.map((one) => ({ ...one, bbx: [0, 0, 1, 1] })),
    };
    const found = new Map(
      landmarkOutcomes(truth, orders, kappas).map(([name, outcome]) => {
        const { sums } = imageCounts(outcome);
        const total = [0, 1].map((column) =>
          sums.reduce((sum, value, at) => (at % 2 === column ? sum + value : sum), 0),
        );
        return [name, score(outcome.kind, Float64Array.from(total))];
      }),
    );
    for (const name of ["medium", "hard"] as const) {
      expect(found.get(`${name}/map`)).toBeCloseTo(protocols[name].map, 10);
      for (const k of kappas)
        expect(found.get(`${name}/precision${k}`)).toBeCloseTo(
          protocols[name].mean_precision_at[String(k)]!,
          10,
        );
    }
  });
});
