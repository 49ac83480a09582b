import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { boxRle } from "../../src/objects/object.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import type { Sample } from "../../src/data/dataset.js";
import { Rng } from "../../src/core/rng.js";
import { type ViewConfig, viewConfig } from "../../src/views/config.js";
import { patchCounts, resampleNearest } from "../../src/portable/index.js";
import { makeViews, newViewSlots } from "../../src/views/views.js";

const PATCH = 8;
const small = { globals: { size: 32 }, locals: { count: 2, size: 16 } };

function config(object: object = {}, locals: object = {}): ViewConfig {
  return viewConfig.parse({ ...small, locals: { ...small.locals, ...locals }, object });
}

function scene(width: number, height: number, boxes: readonly (readonly number[])[]): Sample {
  const objects = boxes.map((box, id) =>
    objectFromRuns(boxRle(box, width, height), { id, label: 0 }),
  );
  const rgb = Uint8Array.from(
    { length: 3 * width * height },
    (_, i) => (i * (i % 17) + width) % 256,
  );
  return { key: "scene", width, height, rgb, objects };
}

function views(sample: Sample, settings: ViewConfig, seed: number) {
  const into = newViewSlots(settings, PATCH);
  for (const slot of [...into.global, ...into.local])
    for (const array of Object.values(slot)) array.fill(99);
  return { ...into, report: makeViews(sample, settings, PATCH, new Rng("several", seed), into) };
}

const scenes = fc
  .array(
    fc
      .tuple(fc.nat({ max: 69 }), fc.nat({ max: 59 }), fc.integer({ min: 1, max: 40 }))
      .map(([x, y, side]) => [x, y, Math.min(side, 70 - x), Math.min(side, 60 - y)] as const),
    { maxLength: 5 },
  )
  .map((boxes) => scene(70, 60, boxes));
const seeds = fc.nat({ max: 1e9 });

describe("with one object an image", () => {
  // Recorded from the code before it knew several objects.
  test.each([
    ["redraw", "77276a7912ba91b9"],
    ["first-view", "1f6b8a3469f198a2"],
    ["off", "5e29767d597ccaad"],
  ])("%s gives the bytes that it always gave", (crop, wanted) => {
    const settings = config({ crop, minArea: 0 });
    const hash = createHash("sha256");
    for (let seed = 0; seed < 40; seed += 1) {
      const [width, height] = [60 + seed, 90 - seed];
      const boxes = Array.from({ length: seed % 4 }, (_, i) => [3 * i, seed / 2, 5 + 4 * i, 9 + i]);
      const sample = scene(width, height, boxes);
      const rgb = sample.rgb.map((_, i) => (i * (i % 17) + seed) % 256);
      const into = newViewSlots(settings, PATCH);
      const report = makeViews({ ...sample, rgb }, settings, PATCH, new Rng("gold", seed), into);
      for (const { pixels, visible, hidden } of into.global)
        hash.update(pixels).update(visible).update(hidden);
      for (const { pixels } of into.local) hash.update(pixels);
      const present = into.global.map((slot) => slot.present[0]);
      const { objects, tries } = report;
      const [global, local] = [report.global, report.local].map((plans) =>
        plans.map(({ box, flip }) => ({ box, flip })),
      );
      hash.update(JSON.stringify([objects[0]?.id ?? -1, present, tries, global, local]));
      for (const slot of into.local) expect(slot.present[0]).toBe(objects.length);
    }
    expect(hash.digest("hex").slice(0, 16)).toBe(wanted);
  });
});

describe("several objects", () => {
  test("are different ones, each with its own rows, which say what the view shows", () => {
    fc.assert(
      fc.property(
        scenes,
        seeds,
        fc.constantFrom("redraw", "exact", "off"),
        fc.boolean(),
        (sample, seed, crop, masked) => {
          const settings = config(
            { count: 3, crop, tries: 4, minArea: 0, overlap: 1, minVisible: 0.02 },
            { masked, aware: seed % 2 === 0 },
          );
          const { global, local, report } = views(sample, settings, seed);
          const { objects } = report;
          expect(new Set(objects).size).toBe(objects.length);
          expect(objects.length).toBe(Math.min(3, sample.objects.length));
          const check = (
            { present, visible }: { present: Uint8Array; visible?: Uint8Array },
            geometry: (typeof report.global)[number],
            size: number,
          ) => {
            const n = (size / PATCH) ** 2;
            for (let o = 0; o < 3; o += 1) {
              const row = visible && [...visible.subarray(o * n, (o + 1) * n)];
              const object = objects[o];
              const mask = new Uint8Array(size * size);
              const count = object
                ? resampleNearest(object.pixels(), sample.width, geometry, size, mask)
                : 0;
              const shown = count > 0 && count >= 0.02 * size * size;
              expect(present[o]).toBe(Number(shown));
              const counts = patchCounts(mask, size, size, PATCH);
              if (row) expect(row).toEqual(Array.from(counts, (c) => Number(shown && c > 0)));
            }
          };
          for (const [g, slot] of global.entries()) {
            check(slot, report.global[g]!, 32);
            const all = slot.present.reduce((a, b) => a + b, 0) === objects.length;
            if (!all && crop !== "exact") expect(report.tries[g]).toBe(crop === "off" ? 1 : 4);
          }
          for (const [l, slot] of local.entries()) {
            if (masked || seed % 2 === 0) check(slot, report.local[l]!, 16);
            else
              expect([...slot.present]).toEqual([0, 1, 2].map((o) => Number(o < objects.length)));
            expect(slot.visible !== undefined).toBe(masked);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a crop that shows more of them is kept when none shows all", () => {
    // Opposite corners: no crop of a third of the image can hold both small ones, many hold one.
    const sample = scene(90, 90, [
      [0, 0, 12, 12],
      [78, 78, 12, 12],
    ]);
    const settings = viewConfig.parse({
      ...small,
      globals: { size: 32, scale: [0.3, 0.3] },
      object: { count: 2, tries: 200 },
    });
    for (let seed = 0; seed < 30; seed += 1) {
      const { global, report } = views(sample, settings, seed);
      expect(report.tries).toEqual([200, 200]);
      for (const { present } of global) expect(present[0]! + present[1]!).toBe(1);
    }
  });

  test("redrawing finds two objects that a single crop often misses", () => {
    const sample = scene(90, 90, [
      [2, 4, 12, 12],
      [65, 60, 14, 14],
    ]);
    const share = (crop: string) => {
      const settings = config({ count: 2, crop });
      const all = Array.from({ length: 100 }, (_, seed) => views(sample, settings, seed).global);
      return all.flat().filter(({ present }) => present[0] && present[1]).length / 200;
    };
    expect(share("off")).toBeLessThan(0.6);
    expect(share("redraw")).toBeGreaterThan(0.99);
  });
});

describe("local views", () => {
  const sample = scene(80, 80, [[4, 4, 16, 16]]);
  const shown = (locals: object) => {
    const settings = config({}, { count: 4, ...locals });
    const slots = Array.from({ length: 60 }, (_, seed) => views(sample, settings, seed).local);
    return slots.flat().reduce((sum, { present }) => sum + present[0]!, 0) / 240;
  };

  test("count as showing the object, unless somebody looks", () => {
    expect(shown({})).toBe(1);
    expect(shown({ masked: true })).toBeLessThan(0.5);
  });

  test("are drawn again when they are aware of objects", () => {
    expect(shown({ aware: true })).toBeGreaterThan(0.95);
  });

  test("masked ones lie where unmasked ones lie", () => {
    for (let seed = 0; seed < 10; seed += 1) {
      const [masked, plain] = [
        views(sample, config({}, { masked: true }), seed),
        views(sample, config(), seed),
      ];
      expect(masked.report).toEqual(plain.report);
      expect(masked.local.map((slot) => slot.pixels)).toEqual(
        plain.local.map((slot) => slot.pixels),
      );
    }
  });
});

test.each(["redraw", "exact", "first-view", "off"])("%s takes images without objects", (crop) => {
  const settings = config({ crop }, { masked: true, aware: true });
  const { global, local, report } = views(scene(50, 40, []), settings, 1);
  expect(report).toMatchObject({ objects: [] });
  for (const { present, visible } of [...global, ...local])
    expect([...present, ...visible!].every((bit) => bit === 0)).toBe(true);
});
