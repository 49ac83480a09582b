import { liveTensors } from "@odis/torch";
import { assert, integer, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { type Neighbours, NeighbourSearch, nearestRows } from "../../src/evaluate/neighbours.js";

const width = 6;
const normals = (n: number, seed: string): Float32Array => {
  const rng = new Rng("neighbours", seed);
  return Float32Array.from({ length: n * width }, () => rng.normal());
};

/** Every pair in doubles, sorted: [queries][k] */
function byHand(bank: Float32Array, queries: Float32Array, k: number) {
  const row = (all: Float32Array, n: number) => all.subarray(n * width, (n + 1) * width);
  const cosine = (a: Float32Array, b: Float32Array): number => {
    const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, v, i) => sum + v * y[i]!, 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };
  return Array.from({ length: queries.length / width }, (_, q) =>
    Array.from({ length: bank.length / width }, (__, n) => ({
      n,
      s: cosine(row(queries, q), row(bank, n)),
    }))
      .toSorted((a, b) => b.s - a.s)
      .slice(0, k),
  );
}

function expectSame(
  { k, rows, similarities }: Neighbours,
  wanted: ReturnType<typeof byHand>,
): void {
  expect([...rows]).toEqual(wanted.flatMap((one) => one.map(({ n }) => n)));
  expect(rows).toHaveLength(k * wanted.length);
  for (const [at, { s }] of wanted.flat().entries()) expect(similarities[at]).toBeCloseTo(s, 5);
}

describe("NeighbourSearch", () => {
  it("finds what comparing every pair finds, however bank and queries are cut", () => {
    const before = liveTensors();
    const cut = record({
      bank: integer({ min: 1, max: 120 }),
      queries: integer({ min: 1, max: 12 }),
      k: integer({ min: 1, max: 9 }),
      chunk: integer({ min: 1, max: 130 }),
      of: record({
        queries: integer({ min: 1, max: 13 }),
        rows: integer({ min: 1, max: 70 }),
        group: integer({ min: 2, max: 5 }),
      }),
    });
    assert(
      property(cut, ({ bank: n, queries: m, k, chunk, of }) => {
        const [bank, queries] = [normals(n, "bank"), normals(m, "queries")];
        using search = new NeighbourSearch(queries, width, k, "cpu", of);
        for (let begin = 0; begin < n; begin += chunk)
          search.add(bank.subarray(begin * width, Math.min(n, begin + chunk) * width));
        expectSame(search.found(), byHand(bank, queries, Math.min(k, n)));
      }),
      { numRuns: 60 },
    );
    expect(liveTensors()).toBe(before);
  });

  it("compares groups first where a chunk is large, with the same result", () => {
    const [bank, queries] = [normals(3001, "bank"), normals(5, "queries")];
    const wanted = byHand(bank, queries, 7);
    expectSame(nearestRows({ features: bank, width }, { features: queries, width }, 7), wanted);
  });

  it("finds nothing before there is a bank", () => {
    using search = new NeighbourSearch(normals(3, "queries"), width, 4);
    expect(search.found()).toEqual({
      k: 0,
      rows: new Int32Array(),
      similarities: new Float32Array(),
    });
  });
});

describe("nearestRows", () => {
  it("passes over rows of the query's own group, however many there are", () => {
    const bank = normals(30, "bank");
    const groups = Array.from({ length: 30 }, (_, n) => (n < 12 ? 0 : n));
    const set = { features: bank, width };
    const found = nearestRows(set, set, 5, "cpu", { bank: groups, queries: groups });
    for (let q = 0; q < 30; q += 1) {
      const all = byHand(bank, bank.subarray(q * width, (q + 1) * width), 30)[0]!;
      const others = all.filter(({ n }) => groups[n] !== groups[q]).slice(0, 5);
      expect([...found.rows.subarray(5 * q, 5 * q + 5)]).toEqual(others.map(({ n }) => n));
    }
  });

  it("says with -1 that a query has too few of others", () => {
    const set = { features: normals(3, "few"), width };
    const found = nearestRows(set, set, 2, "cpu", { bank: [0, 0, 1], queries: [0, 0, 1] });
    expect([...found.rows.subarray(0, 4)]).toEqual([2, -1, 2, -1]);
    expect(new Set(found.rows.subarray(4))).toEqual(new Set([0, 1]));
  });
});
