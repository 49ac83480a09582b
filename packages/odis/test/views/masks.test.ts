import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Sample } from "../../src/data/dataset.js";
import { jitterBox } from "../../src/views/degrade.js";
import { boxIou } from "../../src/objects/object.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import { rleFromMask } from "../../src/objects/rle.js";
import { Rng } from "../../src/core/rng.js";
import { maskConfig, viewConfig } from "../../src/views/config.js";
import { degradeObjects } from "../../src/views/degrade.js";
import { makeViews, newViewSlots } from "../../src/views/views.js";

const [width, height] = [160, 120];
const rgb = new Uint8Array(3 * width * height);

/** Discs: masks that are not their boxes. */
function picture(key: string, discs: readonly (readonly [number, number, number])[]): Sample {
  const objects = discs.map(([cx, cy, radius], id) => {
    const mask = Uint8Array.from({ length: width * height }, (_, i) =>
      Number(Math.hypot((i % width) - cx, Math.floor(i / width) - cy) < radius),
    );
    return objectFromRuns(rleFromMask(mask, width, height), { id, label: id + 5 });
  });
  return { key, width, height, rgb, objects };
}

const three = [
  [40, 40, 25],
  [100, 60, 30],
  [70, 90, 18],
] as const;
const masks = (values: object) => maskConfig.parse(values);

describe("boxes displaced at random", () => {
  const side = fc.integer({ min: 24, max: 400 });
  const boxes = fc.record({ width: side, height: side }).chain((image) =>
    fc
      .record({
        width: fc.integer({ min: 24, max: image.width }),
        height: fc.integer({ min: 24, max: image.height }),
      })
      .chain((size) =>
        fc.record({
          image: fc.constant(image),
          box: fc.record({
            x: fc.nat({ max: image.width - size.width }),
            y: fc.nat({ max: image.height - size.height }),
            width: fc.constant(size.width),
            height: fc.constant(size.height),
          }),
        }),
      ),
  );

  test("overlap as much as wanted, within .02, and lie in the image", () => {
    fc.assert(
      fc.property(
        boxes,
        fc.constantFrom(0.9, 0.7, 0.5, 0.3),
        fc.nat(),
        ({ image, box }, iou, seed) => {
          const moved = jitterBox(box, iou, image, new Rng("jitter", seed));
          expect(Math.abs(boxIou(moved, box) - iou)).toBeLessThanOrEqual(0.02);
          expect(Object.values(moved).every(Number.isInteger)).toBe(true);
          expect(Math.min(moved.x, moved.y)).toBeGreaterThanOrEqual(0);
          expect(Math.min(moved.width, moved.height)).toBeGreaterThan(0);
          expect(moved.x + moved.width).toBeLessThanOrEqual(image.width);
          expect(moved.y + moved.height).toBeLessThanOrEqual(image.height);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("go every way: left and right, up and down, larger and smaller", () => {
    const box = { x: 100, y: 100, width: 60, height: 40 };
    const image = { width: 300, height: 300 };
    const moved = Array.from({ length: 400 }, (_, seed) =>
      jitterBox(box, 0.5, image, new Rng("ways", seed)),
    );
    const share = (test: (of: (typeof moved)[number]) => boolean) =>
      moved.filter(test).length / 400;
    expect(share((b) => b.x + b.width / 2 > 130)).toBeCloseTo(0.5, 0.8);
    expect(share((b) => b.y + b.height / 2 > 120)).toBeCloseTo(0.5, 0.8);
    expect(share((b) => b.width > 60)).toBeGreaterThan(0.3);
    expect(share((b) => b.width < 60)).toBeGreaterThan(0.3);
    expect(share((b) => b.width / b.height > 1.5)).toBeCloseTo(0.5, 0.8);
  });

  test("of a few pixels come as near as pixels allow; 1 changes nothing", () => {
    const image = { width: 9, height: 9 };
    const dot = { x: 4, y: 4, width: 1, height: 1 };
    // A neighbouring pixel belongs to it or not: 1/2 and 1/3 can be had, .9 cannot.
    for (const [iou, wanted] of [
      [0.5, 0.5],
      [0.9, 1],
    ] as const)
      expect(boxIou(jitterBox(dot, iou, image, new Rng("dot")), dot)).toBe(wanted);
    expect(jitterBox(dot, 1, image, new Rng("dot"))).toEqual(dot);
  });
});

describe("worse masks", () => {
  const sample = picture("a.jpg", three);

  test("truth is the sample itself, none has no objects", () => {
    expect(degradeObjects(sample, masks({}))).toBe(sample);
    expect(degradeObjects(sample, masks({ kind: "none" })).objects).toEqual([]);
  });

  test("boxes are filled, and keep id and label", () => {
    const { objects } = degradeObjects(sample, masks({ kind: "box" }));
    for (const [index, object] of objects.entries()) {
      const { id, label, box } = sample.objects[index]!;
      expect(object).toMatchObject({ id, label, box, area: box.width * box.height });
      const inside = (i: number) =>
        i % width >= box.x &&
        i % width < box.x + box.width &&
        Math.floor(i / width) >= box.y &&
        Math.floor(i / width) < box.y + box.height;
      expect(object.pixels().every((bit, i) => bit === Number(inside(i)))).toBe(true);
    }
  });

  test("displaced boxes overlap as wanted", () => {
    const { objects } = degradeObjects(sample, masks({ kind: "box", iou: 0.7 }));
    for (const [index, { box, area }] of objects.entries()) {
      expect(boxIou(box, sample.objects[index]!.box)).toBeCloseTo(0.7, 1.4);
      expect(area).toBe(box.width * box.height);
    }
  });

  test("missing objects: the share that was asked for, and more of them at a larger share", () => {
    const kept = (missing: number, key: string) =>
      degradeObjects(picture(key, three), masks({ missing })).objects.map(({ id }) => id);
    const keys = Array.from({ length: 300 }, (_, i) => `${i}.jpg`);
    const [some, many] = [0.3, 0.6].map((missing) => keys.map((key) => kept(missing, key)));
    expect(some!.flat().length / 900).toBeCloseTo(0.7, 1.1);
    expect(many!.flat().length / 900).toBeCloseTo(0.4, 1.1);
    for (const [index, ids] of many!.entries())
      expect(some![index]).toEqual(expect.arrayContaining(ids));
    expect(kept(1, "x")).toEqual([]);
  });

  test("false boxes: as many as expected, without label, beside the unchanged true ones", () => {
    const counts = Array.from({ length: 400 }, (_, i) => {
      const { objects } = degradeObjects(
        picture(`${i}.jpg`, three.slice(0, 1)),
        masks({ false: 1.5 }),
      );
      const [real, ...spurious] = objects;
      expect(real).toMatchObject({ id: 0, label: 5 });
      expect(new Set(objects.map(({ id }) => id)).size).toBe(objects.length);
      for (const { label, area } of spurious) {
        expect(label).toBe(-1);
        expect(area / (width * height)).toBeGreaterThan(0.005);
        expect(area / (width * height)).toBeLessThan(0.3);
      }
      return spurious.length;
    });
    const mean = counts.reduce((a, b) => a + b, 0) / 400;
    const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / 400;
    expect(Math.abs(mean - 1.5)).toBeLessThan(4 * Math.sqrt(1.5 / 400));
    expect(variance).toBeCloseTo(1.5, 0.3); // Poisson's equals its mean
  });

  test("mistakes belong to the image and the seed, not to the other mistakes", () => {
    const settings = { kind: "box", iou: 0.5, missing: 0.4, false: 2 };
    const boxes = (key: string, values: object) =>
      degradeObjects(picture(key, three), masks(values)).objects.map(({ id, box }) => ({
        id,
        box,
      }));
    expect(boxes("a.jpg", settings)).toEqual(boxes("a.jpg", settings));
    expect(boxes("b.jpg", settings)).not.toEqual(boxes("a.jpg", settings));
    expect(boxes("a.jpg", { ...settings, seed: 1 })).not.toEqual(boxes("a.jpg", settings));
    expect(boxes("a.jpg", { kind: "box", iou: 0.5 })).toEqual(
      expect.arrayContaining(boxes("a.jpg", { ...settings, false: 0 })),
    );
  });

  test("an object without a pixel stays as it is", () => {
    const empty = objectFromRuns(rleFromMask(new Uint8Array(width * height), width, height), {
      label: 1,
    });
    const { objects } = degradeObjects({ ...sample, objects: [empty] }, masks({ kind: "box" }));
    expect(objects).toEqual([empty]);
  });
});

test("views are cut with the worse masks, and with the same ones in every epoch", () => {
  const config = viewConfig.parse({
    globals: { size: 32 },
    locals: { count: 0 },
    masks: { kind: "box", iou: 0.5, false: 1 },
    object: { count: 8, overlap: 1, minArea: 0 },
  });
  const sample = picture("views.jpg", three);
  const wanted = degradeObjects(sample, config.masks).objects.map(
    ({ id, box }) => [id, box] as const,
  );
  for (let epoch = 0; epoch < 3; epoch += 1) {
    const rng = new Rng("views", epoch);
    const { objects } = makeViews(sample, config, 8, rng, newViewSlots(config, 8));
    expect(new Map(objects.map(({ id, box }) => [id, box]))).toEqual(new Map(wanted));
  }
});
