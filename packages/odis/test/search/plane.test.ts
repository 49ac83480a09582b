import { join } from "node:path";
import { expect, it } from "vitest";
import { liveBytes, liveTensors } from "@odis/torch";
import { planeOf } from "../../src/search/index.js";
import { scratchFolder } from "../scratch.js";
import { madeStore } from "./made-store.js";

const scratch = scratchFolder();

/** Two axes of eight that stand at a right angle. */
const axes = [
  [3, 0, 0, 4, 0, 0, 0, 0].map((value) => value / 5),
  [0, 0, 0, 0, 0, 1, -1, 1].map((value) => value / Math.sqrt(3)),
];
/** Where objects lie on the circle in their plane: more of them on one side. */
const angle = (object: number) => (object / 40) ** 2 * 5;

it("vectors that lie in a plane keep their distances in it, up to one scale", () => {
  const length = (object: number) => 1 + (object % 7);
  using store = madeStore(
    join(scratch(), "store"),
    { shards: 3, images: 4, objects: 4, width: 8 },
    (object, at) =>
      length(object) *
      (Math.cos(angle(object)) * axes[0]![at]! + Math.sin(angle(object)) * axes[1]![at]!),
  );
  const { places, kept } = planeOf(store);
  expect(kept).toBeCloseTo(1, 5);
  const ratios: number[] = [];
  for (let a = 0; a < 48; a += 1)
    for (let b = 0; b < a; b += 1) {
      const truth = Math.hypot(
        Math.cos(angle(a)) - Math.cos(angle(b)),
        Math.sin(angle(a)) - Math.sin(angle(b)),
      );
      const got = Math.hypot(
        places[2 * a]! - places[2 * b]!,
        places[2 * a + 1]! - places[2 * b + 1]!,
      );
      if (truth > 0.05) ratios.push(got / truth);
    }
  expect(Math.max(...ratios) / Math.min(...ratios)).toBeLessThan(1.001);
  expect(Math.max(...places.map(Math.abs))).toBeCloseTo(1, 5);
});

it("says how much it keeps", () => {
  // Vectors along three axes, two thirds of the variance on any two.
  using store = madeStore(
    join(scratch(), "store"),
    { shards: 1, images: 6, objects: 1, width: 3 },
    (object, at) => Number(object % 3 === at) * (object < 3 ? 1 : -1),
  );
  expect(planeOf(store).kept).toBeCloseTo(2 / 3, 5);
});

it("takes no more memory for more vectors", () => {
  const width = 64;
  using store = madeStore(
    join(scratch(), "store"),
    { shards: 5, images: 20, objects: 500, width },
    (object, at) => Math.sin(object + at * at),
  );
  const inChunk: { tensors: number; bytes: number }[] = [];
  const chunks = store.chunks.bind(store);
  store.chunks = function* watched(kind) {
    for (const chunk of chunks(kind)) {
      inChunk.push({ tensors: liveTensors(), bytes: liveBytes() });
      yield chunk;
    }
  };
  const before = liveTensors();
  planeOf(store);
  expect(inChunk).toHaveLength(10); // two passes
  const [first, ...others] = inChunk.slice(0, 5);
  expect(first!.tensors).toBe(before + 2);
  for (const one of others) expect(one).toEqual(first);
  expect(liveTensors()).toBe(before);
});
