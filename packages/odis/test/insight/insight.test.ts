import { readFileSync } from "node:fs";
import { fromBuffer, tidy } from "@odis/torch";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { centresOf, clustersOf } from "../../src/insight/clusters.js";
import { duplicatesIn } from "../../src/insight/duplicates.js";
import { nearestTo, spreadRows } from "../../src/insight/nearest.js";
import { doubtsIn, outliersIn } from "../../src/insight/outliers.js";
import { expectClose } from "../close.js";

/** What scikit-learn and scipy found in some vectors (`test/fixtures/insight/make.py`). */
interface Witness {
  readonly width: number;
  readonly neighbours: number;
  readonly least: number;
  readonly vectors: readonly number[];
  readonly groups: readonly (readonly number[])[];
  readonly outliers: readonly number[];
  readonly clusters: readonly {
    readonly count: number;
    readonly vectors: readonly number[];
    readonly planted: readonly number[];
    readonly labels: readonly number[];
    readonly similarity: number;
  }[];
}
const witness: Witness = JSON.parse(
  readFileSync(new URL("../fixtures/insight/scikit-learn.json", import.meta.url).pathname, "utf8"),
);

/** Vectors as a store has them, in chunks of some rows. */
function stored(values: readonly number[], width: number, perChunk = 37) {
  const size = values.length / width;
  return {
    model: { width } as never,
    size: () => size,
    *chunks() {
      for (let row = 0; row < size; row += perChunk)
        yield Float32Array.from(values.slice(row * width, (row + perChunk) * width));
    },
  };
}

/** Which members are together, whatever their groups are called. */
function partition(groups: readonly (readonly number[])[]): string {
  const sorted = groups.map((group) => group.toSorted((a, b) => a - b));
  return JSON.stringify(sorted.toSorted((a, b) => a[0]! - b[0]!));
}
const groupsOf = (labels: readonly number[]): number[][] =>
  [...new Set(labels)].map((one) => labels.flatMap((label, at) => (label === one ? [at] : [])));

const { width, neighbours } = witness;
const store = stored(witness.vectors, width);
const all = spreadRows(store, "images", Infinity);
const nearest = nearestTo(store, "images", all, neighbours);

describe("near-duplicates", () => {
  it("are the connected components that scipy finds, from a cosine on", () => {
    const { groups } = duplicatesIn(nearest, witness.least);
    expect(partition(groups.map(({ rows }) => rows))).toBe(partition(witness.groups));
    for (const { similarity } of groups) expect(similarity).toBeGreaterThanOrEqual(witness.least);
  });

  it("are the planted copies alone where nobody says from which cosine on", () => {
    const { groups, least } = duplicatesIn(nearest);
    expect(partition(groups.map(({ rows }) => rows))).toBe(
      partition([
        [3, 40, 41],
        [17, 90],
      ]),
    );
    expect(groups[0]!.rows).toEqual([3, 40, 41]);
    expect(least).toBeGreaterThan(witness.least);
  });

  it("are none of a single row", () => {
    const one = stored([1, 2, 3], 3);
    expect(duplicatesIn(nearestTo(one, "images", [0], 10)).groups).toEqual([]);
  });

  it("are the copies where they are so many that nothing else is common, and nobody says more", () => {
    const value = fc.float({ min: -1, max: 1, noNaN: true });
    const row = fc
      .array(value, { minLength: 48, maxLength: 48 })
      .filter((values) => Math.hypot(...values) > 0.1);
    fc.assert(
      fc.property(row, fc.integer({ min: 12, max: 40 }), (copy, count) => {
        // Unit vectors along axes are far from each other, and nearly always from the copies.
        const others = Array.from({ length: 11 }, (_, at) =>
          Array.from({ length: 96 }, (__, to) => Number(to === at + 48)),
        );
        const copies = Array.from({ length: count }, () => [...copy, ...copy.map(() => 0)]);
        const many = stored([...copies, ...others].flat(), 96);
        const near = nearestTo(many, "images", spreadRows(many, "images", Infinity), 10);
        const { groups } = duplicatesIn(near);
        expect(groups.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(count);
      }),
    );
  });

  it("of equal rows alone are one group, however many", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 60 }), (count) => {
        const same = stored(Array.from({ length: count }, () => [3, 4]).flat(), 2);
        const near = nearestTo(same, "images", spreadRows(same, "images", Infinity), 10);
        const { groups } = duplicatesIn(near, 0.999);
        expect(groups.reduce((sum, { rows }) => sum + rows.length, 0)).toBe(count);
      }),
    );
  });
});

describe("outliers", () => {
  const found = outliersIn(nearest);

  it("have scikit-learn's mean distances to their nearest, and the planted one is first", () => {
    const distances = found.toSorted((a, b) => a.row - b.row).map(({ distance }) => distance);
    expectClose(distances, [...witness.outliers], { atol: 1e-5, rtol: 1e-4 });
    expect(found[0]!.row).toBe(64);
    const sorted = witness.outliers.toSorted((a, b) => a - b);
    expect(found[0]!.times).toBeCloseTo(sorted.at(-1)! / ((sorted[59]! + sorted[60]!) / 2), 3);
  });

  it("of some rows are those rows', each compared with all", () => {
    const some = spreadRows(store, "images", 30);
    expect(some).toHaveLength(30);
    const few = outliersIn(nearestTo(store, "images", some, neighbours));
    for (const { row, distance } of few) expect(distance).toBeCloseTo(witness.outliers[row]!, 4);
  });
});

describe("labels in doubt", () => {
  it("are the planted mistakes of clusters that lie apart", () => {
    const { vectors, planted } = witness.clusters[0]!;
    const wrong = new Map([
      [4, 3],
      [50, 1],
    ]);
    const names = planted.map((label, row) => `class ${(label + (wrong.get(row) ?? 0)) % 5}`);
    const apart = stored(vectors, width);
    const near = nearestTo(apart, "objects", spreadRows(apart, "objects", Infinity), 10);
    const doubts = doubtsIn(near, (row) => names[row]);
    expect(doubts.map(({ row }) => row).toSorted((a, b) => a - b)).toEqual([4, 50]);
    for (const { row, class: own, other, share } of doubts) {
      expect(own).toBe(names[row]);
      expect(other).toBe(`class ${planted[row]}`);
      expect(share).toBeGreaterThanOrEqual(0.8);
    }
    expect(doubtsIn(near, () => undefined)).toEqual([]);
    const all = spreadRows(apart, "objects", Infinity);
    const around = (k: number) =>
      doubtsIn(nearestTo(apart, "objects", all, k), (row) => names[row]);
    expect(around(4)).toEqual([]);
    expect(around(5).map(({ row }) => row)).toEqual(expect.arrayContaining([4, 50]));
  });
});

describe("clusters", () => {
  it.each(witness.clusters)("of $count are no worse than the best of 50 by scikit-learn", (of) => {
    const { clusters, similarity } = clustersOf(Float32Array.from(of.vectors), width, of.count);
    expect(clusters).toHaveLength(of.count);
    expect(similarity).toBeGreaterThan(of.similarity - 5e-3);
    expect(partition(clusters.map(({ members }) => members)).length).toBeGreaterThan(0);
    const members = clusters.flatMap((cluster) => cluster.members).toSorted((a, b) => a - b);
    expect(members).toEqual(of.labels.map((_, row) => row));
  });

  it("that lie apart are scikit-learn's and the planted ones, named by their class", () => {
    const { count, vectors, planted, labels } = witness.clusters[0]!;
    const { clusters } = clustersOf(Float32Array.from(vectors), width, count, (row) =>
      row % 10 === 0 ? undefined : row % 11 === 0 ? "other" : `class ${planted[row]}`,
    );
    const found = partition(clusters.map(({ members }) => members));
    expect(found).toBe(partition(groupsOf(labels)));
    expect(found).toBe(partition(groupsOf(planted)));
    for (const { members, name } of clusters) {
      const labelled = members.filter((row) => row % 10 !== 0);
      const others = labelled.filter((row) => row % 11 === 0);
      expect(name!.class).toBe(`class ${planted[members[0]!]}`);
      expect(name!.share).toBeCloseTo(1 - others.length / labelled.length, 10);
    }
  });

  it("show first who is nearest to the centre", () => {
    const { count, vectors } = witness.clusters[1]!;
    const unit = (row: number): number[] => {
      const values = vectors.slice(row * width, (row + 1) * width);
      return values.map((value) => value / Math.hypot(...values));
    };
    for (const { members } of clustersOf(Float32Array.from(vectors), width, count).clusters) {
      const rows = members.map(unit);
      const sum = rows[0]!.map((_, at) => rows.reduce((total, row) => total + row[at]!, 0));
      const cosines = rows.map(
        (row) => row.reduce((total, value, at) => total + value * sum[at]!, 0) / Math.hypot(...sum),
      );
      for (const [at, cosine] of cosines.entries())
        if (at > 0) expect(cosine).toBeLessThanOrEqual(cosines[at - 1]! + 1e-5);
    }
  });

  it("that have lost their rows begin at those that fit worst, whatever their numbers", () => {
    const unit = [1, 0, 0, 1, 0.6, 0.8, 0.8, 0.6];
    const centres = tidy(() => {
      const rows = fromBuffer(Float32Array.from(unit), [4, 2]);
      const of = Int32Array.of(0, 0, 0, 0);
      const cosines = Float32Array.of(0.1, 0.9, 0.8, 0.2);
      return centresOf(rows, { of, cosines }, 3).toNumbers();
    });
    const sum = Math.hypot(2.4, 2.4);
    expectClose(centres, [2.4 / sum, 2.4 / sum, 1, 0, 0.8, 0.6], { atol: 1e-6, rtol: 0 });
  });

  it("are fewer than asked for where rows are equal, and none of nothing", () => {
    const same = Float32Array.from({ length: 24 }, (_, at) => [1, 2, 3, 3, 2, 1][at % 6]!);
    const { clusters, similarity } = clustersOf(same, 3, 5);
    expect(clusters.map(({ members }) => members.length)).toEqual([4, 4]);
    expect(similarity).toBeCloseTo(1, 5);
    expect(clustersOf(new Float32Array(0), 3, 5).clusters).toEqual([]);
  });
});
