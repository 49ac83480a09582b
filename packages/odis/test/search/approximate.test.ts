import { join } from "node:path";
import { liveBytes, liveTensors } from "@odis/torch";
import { expect, it } from "vitest";
import { Rng } from "../../src/core/index.js";
import { makeIndex, openStore, type Store } from "../../src/search/index.js";
import { scratchFolder } from "../scratch.js";
import { madeStore } from "./made-store.js";

const scratch = scratchFolder();
const [OBJECTS, K] = [600, 10];

const made = (width: number, value: (object: number, at: number) => number): Store =>
  madeStore(join(scratch(), "store"), { shards: 3, images: 20, objects: 10, width }, value);

/** The share of the true ten nearest that the index finds, or of what is as near but for so much, in doubles. */
function recallOf(store: Store, equal: number): number {
  const vectors = Array.from({ length: OBJECTS }, (_, row) =>
    Array.from(store.vector("objects", row)),
  );
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, at) => sum + value * b[at]!, 0);
  const lengths = vectors.map((vector) => Math.sqrt(dot(vector, vector)));
  let found = 0;
  const tried = Array.from({ length: 200 }, (_, at) => 3 * at);
  for (const query of tried) {
    const like = vectors.map((vector, row) => dot(vectors[query]!, vector) / lengths[row]!);
    const scale = lengths[query]!;
    const nearest = Array.from(like.keys())
      .toSorted((a, b) => like[b]! - like[a]!)
      .slice(0, K);
    const least = like[nearest.at(-1)!]! / scale - equal;
    const got = store.search(Float32Array.from(vectors[query]!), { top: K, approximate: true });
    found += got.filter(({ row }) => nearest.includes(row) || like[row]! / scale > least).length;
  }
  return found / (tried.length * K);
}

it("where all are nearly as far, an index that finds others than the nearest does not count them", () => {
  // What is tried (every third) lies apart; all others are so much alike that float16 knows few from another:
  // their cosines with what is tried are within 1e-4 or so, but further apart than rounding.
  const random = new Rng(1);
  using store = made(64, (object) =>
    object % 3 === 0 ? 1 + 2.6 * (random.uniform() - 0.5) : 1 + 1e-3 * random.uniform(),
  );
  const { recall, tried } = makeIndex(store)!;
  using opened = openStore(store.path);
  expect(tried).toBe(200);
  expect(Math.abs(recall - recallOf(opened, 1e-5))).toBeLessThan(0.01);
  expect(recallOf(opened, 1e-4)).toBeGreaterThan(0.95);
  expect(recall).toBeLessThan(0.85);
});

it("of vectors that are equal any one counts", () => {
  using store = made(16, (object, at) => Math.sin(Math.floor(object / 30) + 3 * at));
  expect(makeIndex(store)!.recall).toBe(1);
  using opened = openStore(store.path);
  expect(recallOf(opened, -1)).toBeLessThan(0.9); // by rows alone
});

it("measuring leaves nothing on the engine", () => {
  using store = made(16, (object, at) => Math.sin(object + at));
  const before = [liveTensors(), liveBytes()];
  makeIndex(store);
  expect([liveTensors(), liveBytes()]).toEqual(before);
});
