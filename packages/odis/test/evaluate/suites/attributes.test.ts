import { liveTensors } from "@odis/torch";
import { describe, expect, it } from "vitest";
import {
  attributeFits,
  AttributeNotes,
  attributeNames,
  type Note,
} from "../../../src/evaluate/suites/attributes.js";
import type { FeatureSet } from "../../../src/features/object-features.js";
import { estimate, pairedDifference } from "../../../src/evaluate/statistics.js";
import { imageCounts, score } from "../../../src/evaluate/outcome.js";
import { Rng } from "../../../src/core/rng.js";
import { expectClose } from "../../golden.js";

describe("attributes of an object", () => {
  it("are those that can be counted by hand", () => {
    const notes = new AttributeNotes();
    // 4 x 4, the object is three pixels of the upper row and one below the middle of them.
    const inside = Uint8Array.from([0, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const channel = (within: number): number[] => [...inside].map((bit) => (bit ? within : 51));
    const pixels = Uint8Array.from([...channel(255), ...channel(102), ...channel(0)]);
    const box = { x: 0, y: 0, width: 20, height: 10 };
    const object = { id: 1, label: 0, area: 200, box, pixels: () => inside };
    const framed = { index: 0, object, seen: object, inside, visible: Uint8Array.of(1) };
    const sample = { key: "a", width: 40, height: 40, rgb: new Uint8Array(), objects: [object] };
    notes.push({ index: 0, sample, pixels, objects: [framed] });
    expect(attributeNames).toEqual(["place", "size", "shape", "light", "surroundings"]);
    const row = notes.notes[0]!.flat();
    const light = (255 + 102 + 0) / 3 / 255;
    expectClose(row, [2 / 4, 0.25 / 4, Math.log(4), Math.log(3 / 2), light, 51 / 255]);
  });
});

/** Objects of `images` pictures, two in each, whose features are made of their attributes. */
function made(
  images: number,
  seed: string,
  featureOf: (row: readonly number[], rng: Rng) => readonly number[],
): { readonly set: FeatureSet; readonly notes: readonly Note[] } {
  const rng = new Rng(seed);
  const n = 2 * images;
  const numbers = Array.from({ length: n }, () =>
    Array.from({ length: 6 }, () => rng.uniform(-1, 1)),
  );
  const rows = numbers.map((row) => featureOf(row, rng));
  return {
    notes: numbers.map(([x, y, ...others]) => [[x!, y!], ...others.map((one) => [one])]),
    set: {
      features: Float32Array.from(rows.flat()),
      width: rows[0]!.length,
      labels: new Int32Array(n),
      items: rows.map((_, row) => ({
        key: `${seed}${row >> 1}`,
        image: row >> 1,
        picture: row >> 1,
        object: row & 1,
        area: 1,
      })),
    },
  };
}

/** R² by attribute. */
function fits(featureOf: Parameters<typeof made>[2], images = 60): Record<string, number> {
  const [bank, queries] = [made(images, "bank", featureOf), made(images, "query", featureOf)];
  const notes = { bank: bank.notes, queries: queries.notes };
  const found = [...attributeFits(bank.set, queries.set, notes, { seed: 0, device: "cpu" })];
  return Object.fromEntries(
    found.map(([name, outcome]) => [name.replace("attributes/", ""), estimate(outcome, 0).value]),
  );
}

describe("what features tell of attributes", () => {
  it("is everything when they are a linear map of them, at any scale", () => {
    const before = liveTensors();
    const found = fits(([x, y, size, shape, light, around]) => [
      1000 * x! - size!,
      y! + 5,
      size! + 0.1 * light!,
      1e-4 * shape!,
      light! - around!,
      around! + x!,
    ]);
    for (const name of attributeNames) expect(found[name], name).toBeGreaterThan(0.999);
    expect(liveTensors()).toBe(before);
  });

  it("is nothing when they are noise, and one thing when they know one thing", () => {
    const noise = fits((_, rng) => Array.from({ length: 8 }, () => rng.uniform(-1, 1)));
    for (const name of attributeNames) expect(Math.abs(noise[name]!), name).toBeLessThan(0.15);
    const { light, ...others } = fits((row, rng) => [
      row[4]!,
      ...Array.from({ length: 4 }, () => rng.uniform(-1, 1)),
    ]);
    expect(light).toBeGreaterThan(0.99);
    for (const [name, value] of Object.entries(others))
      expect(Math.abs(value), name).toBeLessThan(0.15);
  });

  it("leaves out an attribute in which all objects are alike", () => {
    const alike = (seed: string) => {
      const { set, notes } = made(20, seed, (row) => row);
      return {
        set,
        notes: notes.map(([place, size, , light, around]) => [place!, size!, [0], light!, around!]),
      };
    };
    const [bank, queries] = [alike("bank"), alike("query")];
    const notes = { bank: bank.notes, queries: queries.notes };
    const found = [...attributeFits(bank.set, queries.set, notes, { seed: 0, device: "cpu" })];
    expect(found.map(([name]) => name)).toEqual(
      ["place", "size", "light", "surroundings"].map((name) => `attributes/${name}`),
    );
  });

  it("is an R² against the bank's mean: half of a place whose column alone is known", () => {
    const found = fits((row) => [row[0]!], 400);
    expect(found["place"]).toBeCloseTo(0.5, 1);
  });

  it("is solved by its dual to the same values when there are more columns than objects", () => {
    const noisy = (row: readonly number[], rng: Rng): readonly number[] =>
      row.map((value) => value + rng.uniform(-1, 1));
    const constants = Array.from({ length: 200 }, (_, c) => c);
    const wide = fits((row, rng) => [...noisy(row, rng), ...constants]);
    for (const [name, value] of Object.entries(fits(noisy)))
      expect(wide[name], name).toBeCloseTo(value, 9);
  });

  it("does not explode with more columns than objects", () => {
    const found = fits(
      (row, rng) => [...row, ...Array.from({ length: 300 }, () => rng.uniform(-1, 1))],
      50,
    );
    for (const name of attributeNames) {
      expect(found[name], name).toBeLessThan(1);
      expect(found[name], name).toBeGreaterThan(-0.2);
    }
  });
});

describe("an R²", () => {
  const fit = (errors: readonly number[]) =>
    ({
      kind: "fit",
      images: ["a", "a", "b"],
      errors: Float64Array.from(errors),
      deviations: Float64Array.from([4, 2, 2]),
    }) as const;

  it("is 1 minus summed errors over summed deviations", () => {
    const { sums, images, n } = imageCounts(fit([1, 1, 2]));
    expect([...sums]).toEqual([2, 6, 2, 2]);
    expect([images, n]).toEqual([["a", "b"], 3]);
    expect(score("fit", Float64Array.of(4, 8))).toBe(0.5);
    expect(score("fit", Float64Array.of(16, 8))).toBe(-1);
  });

  it("can be compared with another of the same images", () => {
    expect(pairedDifference(fit([1, 1, 2]), fit([2, 2, 4])).value).toBeCloseTo(0.5, 10);
  });
});
