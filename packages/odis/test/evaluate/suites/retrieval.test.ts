import { liveTensors } from "@odis/torch";
import { describe, expect, it } from "vitest";
import type { Measured } from "../../../src/evaluate/outcome.js";
import { objectRetrieval } from "../../../src/evaluate/suites/retrieval.js";
import { expectClose } from "../../golden.js";
import { witness, witnessSet } from "./witness.js";

function numbers([, outcome]: Measured): number[] {
  if (outcome.kind === "mean") return [...outcome.values];
  return outcome.kind === "share" ? [...outcome.hits] : [];
}

describe("retrieval of objects", () => {
  it("is scikit-learn's, query by query", () => {
    const before = liveTensors();
    const found = objectRetrieval(witnessSet("bank"), witnessSet("queries"), [1, 5], "cpu");
    const { precisions, firsts } = witness.retrieval;
    expect(found.map(([name]) => name)).toEqual([
      "retrieval/map",
      "retrieval/recall1",
      "retrieval/recall5",
    ]);
    expectClose(numbers(found[0]!), precisions, { rtol: 1e-6, atol: 1e-6 });
    expect(numbers(found[1]!)).toEqual(firsts.map((first) => Number(first < 1)));
    expect(numbers(found[2]!)).toEqual(firsts.map((first) => Number(first < 5)));
    expect(liveTensors()).toBe(before);
  });

  it("says that it is at work, query by query", () => {
    let said = 0;
    const queries = witnessSet("queries");
    objectRetrieval(witnessSet("bank"), queries, [1], "cpu", () => (said += 1));
    expect(said).toBe(queries.labels.length);
  });

  it("does not count queries whose class nobody could find", () => {
    const bank = witnessSet("bank");
    const without = { ...bank, labels: bank.labels.map((label) => (label === 2 ? 1 : label)) };
    const [map] = objectRetrieval(without, witnessSet("queries"), [1], "cpu");
    expect(map![1].images).toHaveLength(
      witness.queries.labels.filter((label) => label !== 2).length,
    );
    expect(numbers(map!)).not.toContain(NaN);
  });
});
