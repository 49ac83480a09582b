import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Generator, liveTensors } from "@odis/torch";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataSource, openSource } from "../../src/data/source.js";
import { imageFeatures, objectFeatures, objectTokens } from "../../src/evaluate/features.js";
import type { Network } from "../../src/model/network.js";
import { recipeSchema } from "../../src/train/recipe.js";
import { buildNetwork } from "../../src/train/state.js";
import { expectClose } from "../golden.js";
import { scratchFolder, tinyCoco } from "./tiny-coco.js";

const recipe = recipeSchema.parse({
  model: { dim: 32, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 8 },
  views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
});
const size = 32;
const folder = scratchFolder();
let source: DataSource;
let network: Network;

beforeAll(async () => {
  const names = ["a.png", "b.png", "broken.png", "c.png"];
  const spec = await tinyCoco(folder, names, 1);
  writeFileSync(join(folder, "images", "broken.png"), "not a picture");
  source = await openSource(spec);
  network = buildNetwork(recipe, "teacher").init(new Generator(0)).requiresGrad_(false);
});
afterAll(() => {
  network.free();
  rmSync(folder, { recursive: true });
});

const options = { size, frame: "whole" } as const;
const rowOf = (set: { features: Float32Array; width: number }, row: number): Float32Array =>
  set.features.slice(row * set.width, (row + 1) * set.width);
const distance = (a: Float32Array, b: Float32Array): number =>
  Math.hypot(...a.map((value, i) => value - b[i]!));

describe("objectFeatures", () => {
  it("gives one row per object and names the picture that could not be read", async () => {
    const seen: number[] = [];
    const set = await objectFeatures(network, source, {
      ...options,
      mode: "mask",
      onProgress: (done, of) => seen.push(done, of),
    });
    expect(set.items.map(({ key, object }) => [key, object])).toEqual([
      ["a.png", 0],
      ["a.png", 1],
      ["b.png", 0],
      ["b.png", 1],
      ["c.png", 0],
      ["c.png", 1],
    ]);
    expect([...set.labels]).toEqual([0, 1, 0, 1, 0, 1]);
    expect([set.width, set.features.length]).toEqual([32, 6 * 32]);
    expect(set.images).toBe(3);
    expect(set.omitted.skipped.map(({ key }) => key)).toEqual(["broken.png"]);
    expect(seen).toEqual([1, 4, 2, 4, 3, 4, 4, 4]);
  });

  it("differs between the objects of an image with masks and not without", async () => {
    const masked = await objectFeatures(network, source, { ...options, mode: "mask" });
    const plain = await objectFeatures(network, source, { ...options, mode: "none" });
    expect(rowOf(plain, 0)).toEqual(rowOf(plain, 1));
    expect(rowOf(plain, 0)).not.toEqual(rowOf(plain, 2));
    expect(distance(rowOf(masked, 0), rowOf(masked, 1))).toBeGreaterThan(1e-3);
    expect(distance(rowOf(masked, 0), rowOf(plain, 0))).toBeGreaterThan(1e-3);
  });

  it("is the same with every patch visible as without a mask", () => {
    const pixels = Uint8Array.from({ length: 3 * size * size }, (_, i) => (i * 37) % 256);
    const all = new Uint8Array((size / recipe.model.patch) ** 2).fill(1);
    expectClose(
      objectTokens(network, size, [pixels], [all]),
      objectTokens(network, size, [pixels]),
      {
        rtol: 1e-4,
      },
    );
  });

  it.each(["mask", "none"] as const)("does not depend on rows per pass (%s)", async (mode) => {
    const few = await objectFeatures(network, source, { ...options, mode, rows: 1 });
    const many = await objectFeatures(network, source, { ...options, mode, rows: 256 });
    const odd = await objectFeatures(network, source, { ...options, mode, rows: 4 });
    expectClose(few.features, many.features, { rtol: 1e-4 });
    expectClose(odd.features, many.features, { rtol: 1e-4 });
  });

  it("frees every tensor", async () => {
    const before = liveTensors();
    await objectFeatures(network, source, { ...options, mode: "mask" });
    expect(liveTensors()).toBe(before);
  });

  it("counts the objects that the published square loses, and the small ones", async () => {
    // 64 x 48: the square is columns 11..52; a rectangle at 2..12 + 20 always reaches in.
    const centred = await objectFeatures(network, source, {
      ...options,
      frame: "center",
      mode: "mask",
    });
    expect(centred.items.length + centred.omitted.lost).toBe(6);
    const large = await objectFeatures(network, source, {
      ...options,
      mode: "mask",
      minArea: 0.1, // 307 pixels: rectangles have 400, triangles some 200
    });
    expect([...large.labels]).toEqual([0, 0, 0]);
    expect(large.omitted.small).toBe(3);
  });

  it("reads no more images than the limit", async () => {
    const set = await objectFeatures(network, source, { ...options, mode: "none", limit: 2 });
    expect([set.images, set.items.length]).toEqual([2, 4]);
  });
});

describe("imageFeatures", () => {
  it("labels an image by its largest object", async () => {
    const set = await imageFeatures(network, source, options);
    expect(set.items.map(({ key }) => key)).toEqual(["a.png", "b.png", "c.png"]);
    expect([...set.labels]).toEqual([0, 0, 0]);
    const objects = await objectFeatures(network, source, { ...options, mode: "none" });
    expect(rowOf(set, 1)).toEqual(rowOf(objects, 2));
  });
});
