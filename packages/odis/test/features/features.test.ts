import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromBuffer, Generator, liveTensors, noGrad, stack, tidy } from "@odis/torch";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataSource, openSource } from "../../src/data/dataset.js";
import {
  featureOf,
  largestPerImage,
  objectFeatures,
  pick,
} from "../../src/features/object-features.js";
import { frameObject, framePixels } from "../../src/features/frame.js";
import { modes } from "../../src/features/frame.js";
import { inferenceOptions, inputImages } from "../../src/features/passes.js";
import { cutOut } from "../../src/evaluate/pixels.js";
import { objectFromPixels } from "../../src/objects/mask.js";
import type { Network } from "../../src/model/network.js";
import { normalise } from "../../src/model/index.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { buildNetwork } from "../../src/train/state.js";
import { type MaskConfig, maskConfig } from "../../src/views/config.js";
import { expectClose } from "../golden.js";
import { scratchFolder, tinyCoco } from "../evaluate/tiny-coco.js";

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

/** The feature of an object under isolated attention, straight from the backbone. */
function isolatedFeature(
  { backbone }: Network,
  pixels: Uint8Array,
  visible: Uint8Array,
  kind: "token" | "pooled",
): Float32Array {
  return noGrad(() =>
    tidy(() => {
      const tokens = backbone.forward(normalise(pixels, [1, 3, size, size], "cpu"), {
        visible: fromBuffer(visible, [1, visible.length], { dtype: "bool" }),
        attention: "isolated",
      });
      const own = [...visible.keys()].filter((at) => visible[at]);
      return kind === "token"
        ? backbone.layout.objectsOf(tokens).flatten().toFloat32()
        : stack(own.map((at) => backbone.layout.patchesOf(tokens).select(1, at)))
            .mean([0])
            .flatten()
            .toFloat32();
    }),
  );
}

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
    expectClose(featureOf(network, size, pixels, all), featureOf(network, size, pixels));
  });

  it.each(modes)("does not depend on rows per pass (%s)", async (mode) => {
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

describe("largestPerImage", () => {
  it("takes each image's largest object", async () => {
    const all = await objectFeatures(network, source, { ...options, mode: "none" });
    const set = pick(all, largestPerImage(all.items));
    expect(set.items.map(({ key }) => key)).toEqual(["a.png", "b.png", "c.png"]);
    expect([...set.labels]).toEqual([0, 0, 0]);
    expect(rowOf(set, 1)).toEqual(rowOf(all, 2));
  });
});

const view = { frame: "whole", size, patch: recipe.model.patch } as const;
/** a.png framed by hand, with its first object */
const byHand = async () => {
  const sample = await source.read(0);
  const object = sample.objects[0]!;
  return {
    sample,
    object,
    pixels: framePixels(sample, view),
    ...frameObject(sample, object, view)!,
  };
};

describe("inference modes", () => {
  it("crops to the object's box: as if the box were the image", async () => {
    const { sample, object } = await byHand();
    const { box } = object;
    const cut = cutOut(sample, object, false);
    const pixels = framePixels({ ...sample, ...cut }, { frame: "whole", size, patch: 8 });
    const set = await objectFeatures(network, source, { ...options, mode: "crop" });
    expect([box.width, box.height]).toEqual([20, 20]);
    expectClose(rowOf(set, 0), featureOf(network, size, pixels));
  });

  it("blacks out what is not the object, and leaves the object's pixels as they are", async () => {
    const { pixels, inside } = await byHand();
    const black = pixels.map((byte, at) => (inside[at % inside.length] ? byte : 0));
    const set = await objectFeatures(network, source, { ...options, mode: "blackout" });
    expectClose(rowOf(set, 0), featureOf(network, size, black));
  });

  it("masks the object in its crop, too: as if the box were the image", async () => {
    // The first triangle: it does not fill its box.
    const sample = await source.read(0);
    const object = sample.objects[1]!;
    const { x, y, width, height } = object.box;
    const part = { ...sample, ...cutOut(sample, object, false) };
    const inside = object.pixels();
    const pixels = Uint8Array.from(
      { length: width * height },
      (_, at) => inside[(y + Math.floor(at / width)) * sample.width + x + (at % width)]!,
    );
    const there = objectFromPixels(pixels, { width, height }, { label: 0 });
    const { visible } = frameObject(part, there, view)!;
    expect(visible).toContain(0);
    const masked = { ...options, mode: "crop-mask" } as const;
    const set = await objectFeatures(network, source, masked);
    expectClose(rowOf(set, 1), featureOf(network, size, framePixels(part, view), visible));
    const pooled = await objectFeatures(network, source, { ...masked, kind: "pooled" });
    expectClose(
      rowOf(pooled, 1),
      featureOf(network, size, framePixels(part, view), visible, "pooled"),
    );
  });

  it("isolates the object: what is around its patches may be anything", async () => {
    const { pixels, visible } = await byHand();
    const isolated = { ...options, mode: "isolated" } as const;
    const side = size / 8;
    const other = pixels.map((byte, at) => {
      const [y, x] = [Math.floor(at / size) % size, at % size];
      return visible[side * Math.floor(y / 8) + Math.floor(x / 8)] ? byte : 255 - byte;
    });
    expect(other).not.toEqual(pixels);
    for (const kind of ["token", "pooled"] as const) {
      const set = await objectFeatures(network, source, { ...isolated, kind });
      for (const input of [pixels, other])
        expectClose(rowOf(set, 0), isolatedFeature(network, input, visible, kind));
      const masked = await objectFeatures(network, source, { ...isolated, kind, mode: "mask" });
      expect(distance(rowOf(set, 0), rowOf(masked, 0))).toBeGreaterThan(1e-3);
    }
  });

  it("pools the final patch tokens: the object's with a mask, all of them without", async () => {
    const { pixels, visible } = await byHand();
    const patches = noGrad(() =>
      tidy(() =>
        network.backbone.layout
          .patchesOf(network.forward(inputImages(network, size, [pixels])))
          .toFloat32(),
      ),
    );
    const mean = (chosen: Uint8Array): number[] =>
      Array.from({ length: 32 }, (_, d) => {
        const rows = [...chosen.keys()].filter((n) => chosen[n]);
        return rows.reduce((sum, n) => sum + patches[32 * n + d]!, 0) / rows.length;
      });
    const pooled = { ...options, kind: "pooled" } as const;
    const masked = await objectFeatures(network, source, { ...pooled, mode: "mask" });
    const plain = await objectFeatures(network, source, { ...pooled, mode: "none" });
    expectClose(rowOf(masked, 0), mean(visible));
    expectClose(rowOf(plain, 1), mean(new Uint8Array(16).fill(1)));
    expectClose(featureOf(network, size, pixels, visible, "pooled"), mean(visible));
  });

  it("puts the last blocks side by side, the mean of the object's patches behind them", async () => {
    const wide = { ...options, mode: "mask", blocks: 2, average: true } as const;
    const set = await objectFeatures(network, source, wide);
    const token = await objectFeatures(network, source, { ...options, mode: "mask" });
    expect(set.width).toBe(3 * 32);
    expectClose(rowOf(set, 3).subarray(32, 64), rowOf(token, 3));
    const { pixels, visible } = await byHand();
    const [first, mean] = noGrad(() =>
      tidy(() => {
        const { backbone } = network;
        const seen = inferenceOptions(network, size, 1, [visible]);
        const images = inputImages(network, size, [pixels]);
        const [early, late] = backbone.lastBlocks(images, 2, seen);
        const rows = [...visible.keys()].filter((n) => visible[n]);
        const chosen = fromBuffer(BigInt64Array.from(rows, BigInt));
        return [
          backbone.layout.objectsOf(early!).toFloat32(),
          backbone.layout.patchesOf(late!).indexSelect(1, chosen).mean([1]).toFloat32(),
        ];
      }),
    );
    expectClose(rowOf(set, 0).subarray(0, 32), first);
    expectClose(rowOf(set, 0).subarray(64), mean);
  });
});

describe("degraded masks", () => {
  const masksOf = (values: Partial<MaskConfig>): MaskConfig => maskConfig.parse(values);

  it("are what the network is told, bank and labels stay what they are", async () => {
    const truth = await objectFeatures(network, source, { ...options, mode: "mask" });
    const boxes = await objectFeatures(network, source, {
      ...options,
      mode: "mask",
      masks: masksOf({ kind: "box" }),
    });
    expect([boxes.items, boxes.labels]).toEqual([truth.items, truth.labels]);
    const { sample, pixels } = await byHand();
    const triangle = sample.objects[1]!;
    const { x, y, width, height } = triangle.box;
    const inBox = (at: number): boolean =>
      at % 64 >= x && at % 64 < x + width && Math.floor(at / 64) >= y && at < 64 * (y + height);
    const filled = Uint8Array.from({ length: 64 * 48 }, (_, at) => Number(inBox(at)));
    const { visible } = frameObject(sample, { ...triangle, pixels: () => filled }, view)!;
    expectClose(rowOf(boxes, 1), featureOf(network, size, pixels, visible));
  });

  it.each(modes)("leave an overlooked object its image: %s is like none", async (mode) => {
    const none = await objectFeatures(network, source, { ...options, mode: "none" });
    for (const masks of [masksOf({ kind: "none" }), masksOf({ missing: 1 })])
      expectClose(
        (await objectFeatures(network, source, { ...options, mode, masks })).features,
        none.features,
      );
  });
});

describe.each([
  ["[CLS] alone", { model: { tokens: "cls" }, loss: { objectWeight: 0, clsWeight: 1 } }],
  ["[CLS] and [OBJ]", { model: { tokens: "cls+obj" } }],
  ["three [OBJ]", { model: { objectPosition: "each" }, views: { object: { count: 3 } } }],
  ["attention that training left open", { model: { objectAttention: "open" } }],
] as const)("a network with %s", (_, { model, ...more }) => {
  it("sees an object with its mask, everything without", async () => {
    const other = recipeSchema.parse({
      ...more,
      model: { ...recipe.model, ...model },
      head: recipe.head,
      views: { ...recipe.views, ...("views" in more && more.views) },
    });
    const asked = buildNetwork(other, "teacher").init(new Generator(1)).requiresGrad_(false);
    const masked = await objectFeatures(asked, source, { ...options, mode: "mask" });
    const plain = await objectFeatures(asked, source, { ...options, mode: "none" });
    expect(rowOf(plain, 0)).toEqual(rowOf(plain, 1));
    expect(distance(rowOf(masked, 0), rowOf(masked, 1))).toBeGreaterThan(1e-3);
    expect(distance(rowOf(masked, 0), rowOf(plain, 0))).toBeGreaterThan(1e-3);
    const sample = await source.read(0);
    const pixels = framePixels(sample, { frame: "whole", size, patch: 8 });
    expectClose(featureOf(asked, size, pixels, new Uint8Array(16).fill(1)), rowOf(plain, 0));
    asked.free();
  });
});
