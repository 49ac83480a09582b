import { fromBuffer, Generator, liveTensors, noGrad, tidy } from "@odis/torch";
import { assert, integer, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { type FramedImage, framePixels } from "../../src/features/frame.js";
import { inputImages } from "../../src/features/passes.js";
import { WindowPasses, windowsOf, WindowSegmenter } from "../../src/evaluate/windows.js";
import type { SceneObject } from "../../src/objects/object.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { buildNetwork } from "../../src/train/state.js";

/** mmsegmentation's grid of `slide_inference` along one side, as its code is published. */
function published(length: number, crop: number, stride: number): [begin: number, end: number][] {
  const grids = Math.floor(Math.max(length - crop + stride - 1, 0) / stride) + 1;
  return Array.from({ length: grids }, (_, index) => {
    const end = Math.min(index * stride + crop, length);
    return [Math.max(end - crop, 0), end];
  });
}

describe("windowsOf", () => {
  it("is the published grid where the shorter side is the crop", () => {
    const sizes = record({
      short: integer({ min: 1, max: 64 }),
      more: integer({ min: 0, max: 200 }),
      stride: integer({ min: 1, max: 64 }),
    });
    assert(
      property(sizes, ({ short, more, stride }) => {
        const wanted = published(short + more, short, stride).map(([begin]) => begin);
        const options = { crop: short, stride };
        const wide = windowsOf({ width: short + more, height: short }, options);
        expect(wide.map(({ box }) => [box.x, box.y, box.width, box.height])).toEqual(
          wanted.map((x) => [x, 0, short, short]),
        );
        const high = windowsOf({ width: short, height: short + more + 1 }, options);
        expect(high.map(({ box }) => box.y)).toEqual(
          published(short + more + 1, short, stride).map(([begin]) => begin),
        );
        // What each shows last covers the picture without a gap or an overlap.
        expect(wide.reduce((sum, { last }) => sum + last, 0)).toBe(short + more);
        expect(wide.map(({ index, of }) => [index, of])).toEqual(
          wanted.map((_, index) => [index, wanted.length]),
        );
      }),
    );
  });

  it("scales the picture to the crop: ADE's 683 x 512 at the published 512 and 341, and twice that", () => {
    const options = { crop: 512, stride: 341 };
    const boxes = (width: number, height: number) =>
      windowsOf({ width, height }, options).map(({ box }) => [box.x, box.y, box.width]);
    expect(boxes(683, 512)).toEqual([
      [0, 0, 512],
      [171, 0, 512],
    ]);
    expect(boxes(1366, 1024)).toEqual([
      [0, 0, 1024],
      [342, 0, 1024],
    ]);
    expect(boxes(300, 300)).toEqual([[0, 0, 300]]);
  });
});

const recipe = recipeSchema.parse({
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 8 },
  views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
});
const [classes, dim] = [3, 16];

/** A picture of noise with a rectangle of each class, as the evaluation shows it. */
function picture(width: number, height: number, seed: number): FramedImage {
  const rng = new Rng("windows", seed);
  const rgb = Uint8Array.from({ length: 3 * width * height }, () => rng.int(0, 256));
  const objects = [0, 1].map((label): SceneObject => {
    const box = { x: rng.int(0, width - 12), y: rng.int(0, height - 12), width: 12, height: 11 };
    const inside = (at: number): boolean => {
      const [x, y] = [at % width, Math.floor(at / width)];
      return x >= box.x && x < box.x + 12 && y >= box.y && y < box.y + 11;
    };
    const pixels = () => Uint8Array.from({ length: width * height }, (_, at) => Number(inside(at)));
    return { id: label, label, box, area: 132 - label, pixels };
  });
  const sample = { key: `${seed}`, width, height, rgb, objects };
  return { index: seed, sample, pixels: new Uint8Array(0), objects: [] };
}

/** Bilinear, corners not aligned, edges repeated: a grid [side, side] to [size, size]. */
function enlarged(grid: readonly number[], side: number, size: number): number[] {
  const place = (pixel: number): [low: number, high: number, share: number] => {
    const at = Math.min(side - 1, Math.max(0, ((pixel + 0.5) * side) / size - 0.5));
    return [Math.floor(at), Math.min(side - 1, Math.floor(at) + 1), at - Math.floor(at)];
  };
  return Array.from({ length: size * size }, (_, pixel) => {
    const [top, bottom, down] = place(Math.floor(pixel / size));
    const [left, right, across] = place(pixel % size);
    const row = (y: number): number =>
      grid[y * side + left]! * (1 - across) + grid[y * side + right]! * across;
    return row(top) * (1 - down) + row(bottom) * down;
  });
}

describe("WindowSegmenter", () => {
  const rng = new Rng("window classifier");
  const weights = Float32Array.from({ length: dim * classes }, () => rng.normal());

  /** Scores of every pixel added up, and divided by how many windows show it; as the published code does. */
  function byHand(
    network: ReturnType<typeof buildNetwork>,
    image: FramedImage,
    { crop, stride }: { crop: number; stride: number },
  ) {
    const { width, height, rgb, objects } = image.sample;
    const pixels = width * height;
    const sums = new Float64Array(classes * pixels);
    const shown = new Float64Array(pixels);
    for (const [y0] of published(height, crop, stride))
      for (const [x0] of published(width, crop, stride)) {
        const at = (y: number, x: number): number => (y0 + y) * width + x0 + x;
        const part = Uint8Array.from({ length: 3 * crop * crop }, (_, byte) => {
          const pixel = Math.floor(byte / 3);
          return rgb[3 * at(Math.floor(pixel / crop), pixel % crop) + (byte % 3)]!;
        });
        const sample = { key: "", width: crop, height: crop, rgb: part, objects: [] };
        const input = framePixels(sample, { frame: "whole", size: crop, patch: 8 });
        const tokens = noGrad(() =>
          tidy(() =>
            network.backbone.layout
              .patchesOf(network.forward(inputImages(network, crop, [input])))
              .toFloat32(),
          ),
        );
        for (let c = 0; c < classes; c += 1) {
          const side = crop / 8;
          const grid = Array.from({ length: side * side }, (_, n) =>
            Array.from(
              { length: dim },
              (__, d) => tokens[n * dim + d]! * weights[d * classes + c]!,
            ),
          ).map((products) => products.reduce((a, b) => a + b, 0));
          for (const [pixel, score] of enlarged(grid, side, crop).entries())
            sums[c * pixels + at(Math.floor(pixel / crop), pixel % crop)]! += score;
        }
        for (let pixel = 0; pixel < crop * crop; pixel += 1)
          shown[at(Math.floor(pixel / crop), pixel % crop)]! += 1;
      }
    expect(Math.min(...shown)).toBeGreaterThan(0);
    const truth = new Int32Array(pixels);
    for (const object of objects)
      for (const [at, bit] of object.pixels().entries()) if (bit) truth[at] = object.label + 1;
    const [intersections, unions] = [new Int32Array(classes), new Int32Array(classes)];
    for (let at = 0; at < pixels; at += 1) {
      const means = Array.from({ length: classes }, (_, c) => sums[c * pixels + at]! / shown[at]!);
      const got = means.indexOf(Math.max(...means));
      if (got === truth[at]) intersections[got]! += 1;
      else unions[truth[at]!]! += 1;
      unions[got]! += 1;
    }
    return { intersections, unions };
  }

  it.each([
    [32, 12],
    [32, 32],
    [40, 27],
  ])("decides by the mean of overlapping windows: crop %i, stride %i", (crop, stride) => {
    const before = liveTensors();
    const network = buildNetwork(recipe, "teacher").init(new Generator(3)).requiresGrad_(false);
    const columns = fromBuffer(weights, [dim, classes]);
    const images = [picture(91, crop, 1), picture(crop, crop, 2), picture(crop, 75, 3)];
    const segmenter = new WindowSegmenter(
      "linear-windows",
      network,
      { frame: "whole", size: crop, patch: 8, classes },
      (patches) => patches.matmul(columns),
    );
    const windows = ({ sample }: FramedImage) => windowsOf(sample, { crop, stride });
    const passes = new WindowPasses(crop, windows, [{ network, readers: [segmenter] }]);
    for (const image of images) passes.push(image);
    passes.finish();
    const [name, outcome] = segmenter.measured();
    expect(name).toBe("dense/linear-windows/miou");
    const wanted = images.map((image) => byHand(network, image, { crop, stride }));
    const list = (of: "intersections" | "unions") => wanted.flatMap((one) => [...one[of]]);
    expect(outcome).toMatchObject({ kind: "iou", images: ["1", "2", "3"], classes });
    if (outcome.kind !== "iou") throw new Error("not an iou");
    // Rounding may turn a pixel where two classes are as good as each other.
    const off = (got: Int32Array, of: "intersections" | "unions") =>
      Math.max(...list(of).map((n, at) => Math.abs(n - got[at]!)));
    expect(off(outcome.intersections, "intersections")).toBeLessThanOrEqual(2);
    expect(off(outcome.unions, "unions")).toBeLessThanOrEqual(2);
    segmenter[Symbol.dispose]();
    columns.free();
    network.free();
    expect(liveTensors()).toBe(before);
  });

  it("draws windows and what they show once, however many networks look at them", () => {
    const networks = [3, 4].map((seed) =>
      buildNetwork(recipe, "teacher").init(new Generator(seed)).requiresGrad_(false),
    );
    const options = { frame: "whole", size: 32, patch: 8, classes } as const;
    const columns = fromBuffer(weights, [dim, classes]);
    const segmenters = networks.map(
      (network) => new WindowSegmenter("w", network, options, (rows) => rows.matmul(columns)),
    );
    const sliding = { crop: 32, stride: 20 };
    let drawn = 0;
    const image = picture(91, 32, 1);
    const objects = image.sample.objects.map((object) => ({
      ...object,
      pixels: () => {
        drawn += 1;
        return object.pixels();
      },
    }));
    const counted = { ...image, sample: { ...image.sample, objects } };
    const windows = ({ sample }: FramedImage) => windowsOf(sample, sliding);
    const passes = new WindowPasses(
      sliding.crop,
      windows,
      networks.map((network, at) => ({ network, readers: [segmenters[at]!] })),
    );
    passes.push(counted);
    passes.finish();
    expect(drawn).toBe(objects.length * windowsOf(image.sample, sliding).length);
    for (const [at, network] of networks.entries()) {
      const alone = new WindowSegmenter("w", network, options, (rows) => rows.matmul(columns));
      const pass = new WindowPasses(sliding.crop, windows, [{ network, readers: [alone] }]);
      pass.push(image);
      pass.finish();
      expect(segmenters[at]!.measured()).toEqual(alone.measured());
      alone[Symbol.dispose]();
    }
    for (const one of segmenters) one[Symbol.dispose]();
    for (const network of networks) network.free();
    columns.free();
  });
});
