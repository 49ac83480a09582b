import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Sample } from "../../src/data/dataset.js";
import { boxRle } from "../../src/objects/object.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import { rleFromMask } from "../../src/objects/rle.js";
import { Rng } from "../../src/core/rng.js";
import { type ViewConfig, viewConfig } from "../../src/views/config.js";
import { drawCropBox } from "../../src/views/crop-box.js";
import { type Cut, drawMask, drawView } from "@odis/torch/images";
import { makeViews, newViewSlots, type ViewSlots } from "../../src/views/views.js";
import { firstDifference } from "../golden.js";

const PATCH = 8;
const small = { globals: { size: 32 }, locals: { count: 2, size: 16 } } as const;
const plainColors = {
  jitter: { p: 0 },
  gray: 0,
  blur: { p: [0, 0, 0] },
  solarize: 0,
} as const;

function config(changes: Record<string, unknown> = {}): ViewConfig {
  return viewConfig.parse({ ...small, ...changes });
}

function isGroup(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shared(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

function slots(settings: ViewConfig): ViewSlots {
  const into = newViewSlots(settings, PATCH);
  for (const slot of [...into.global, ...into.local])
    for (const array of Object.values(slot)) array.fill(99); // as an earlier image has left it
  return into;
}

function views(sample: Sample, settings: ViewConfig, seed: number) {
  const into = slots(settings);
  const report = makeViews(sample, settings, PATCH, new Rng("test", seed), into);
  // What most tests ask about: the first object.
  const present = into.global.map((slot) => slot.present[0] === 1);
  return { ...into, report: { ...report, object: report.objects[0]?.id ?? -1, present } };
}

/** White objects on black, so that pixels tell where the mask should be. */
function scene(width: number, height: number, boxes: readonly (readonly number[])[]): Sample {
  const objects = boxes.map((box, id) =>
    objectFromRuns(boxRle(box, width, height), { id, label: 0 }),
  );
  const union = new Uint8Array(width * height);
  for (const object of objects) object.pixels().forEach((bit, i) => bit && (union[i] = 1));
  const rgb = Uint8Array.from(
    { length: 3 * union.length },
    (_, i) => 255 * union[Math.floor(i / 3)]!,
  );
  return { key: "scene", width, height, rgb, objects };
}

/** The view's mask, pixel by pixel from the definition. */
function maskOf({ width, objects }: Sample, object: number, { box, flip }: Cut, size: number) {
  const mask = objects[object]!.pixels();
  return Uint8Array.from({ length: size * size }, (_, i) => {
    const column = flip ? size - 1 - (i % size) : i % size;
    const x = box.x + Math.floor(((column + 0.5) * box.width) / size + 1e-9);
    const y = box.y + Math.floor(((Math.floor(i / size) + 0.5) * box.height) / size + 1e-9);
    return mask[y * width + x]!;
  });
}

function anyPixel(mask: Uint8Array, size: number): number[] {
  const side = size / PATCH;
  const grid = Array.from({ length: side * side }, () => 0);
  mask.forEach((bit, i) => {
    if (bit) grid[Math.floor(i / size / PATCH) * side + Math.floor((i % size) / PATCH)] = 1;
  });
  return grid;
}

const dimension = fc.integer({ min: 1, max: 90 });
const scenes = fc.record({ width: dimension, height: dimension }).chain(({ width, height }) => {
  const box = fc
    .tuple(fc.nat({ max: width - 1 }), fc.nat({ max: height - 1 }), dimension, dimension)
    .map(([x, y, w, h]) => [x, y, Math.min(w, width - x), Math.min(h, height - y)] as const);
  return fc.array(box, { maxLength: 4 }).map((boxes) => scene(width, height, boxes));
});
const seeds = fc.nat({ max: 1e9 });

describe("crops", () => {
  test("lie inside the image, whatever its shape", () => {
    const range = fc.tuple(
      fc.double({ min: 1e-4, max: 1, noNaN: true }),
      fc.double({ min: 1e-4, max: 1, noNaN: true }),
    );
    fc.assert(
      fc.property(dimension, dimension, range, seeds, (width, height, [a, b], seed) => {
        const crops = { scale: [Math.min(a, b), Math.max(a, b)], aspect: [3 / 4, 4 / 3] } as const;
        const box = drawCropBox(width, height, crops, new Rng("box", seed));
        expect(Object.values(box).every(Number.isInteger)).toBe(true);
        expect(Math.min(box.x, box.y)).toBeGreaterThanOrEqual(0);
        expect(Math.min(box.width, box.height)).toBeGreaterThan(0);
        expect(box.x + box.width).toBeLessThanOrEqual(width);
        expect(box.y + box.height).toBeLessThanOrEqual(height);
      }),
    );
  });

  test("mirroring the view is mirroring its pixels and its mask", () => {
    const rgb = Uint8Array.from({ length: 3 * 40 * 30 }, (_, i) => (i * 7919) % 251);
    const bits = rgb.subarray(0, 40 * 30).map((value) => value & 1);
    fc.assert(
      fc.property(seeds, fc.constantFrom(8, 24, 33), (seed, size) => {
        const rng = new Rng("mirror", seed);
        const box = drawCropBox(40, 30, { scale: [0.01, 1], aspect: [0.3, 3] }, rng);
        const [plain, mirrored] = [false, true].map((flip) => {
          const pixels = new Uint8Array(3 * size * size);
          const mask = new Uint8Array(size * size);
          drawView({ width: 40, height: 30, rgb }, { box, flip }, size, pixels);
          drawMask({ width: 40, height: 30, pixels: bits }, { box, flip }, size, mask);
          return [...pixels, ...mask];
        });
        const reversed = plain!.map((_, i) => plain![i - (i % size) + size - 1 - (i % size)]!);
        expect(firstDifference(mirrored!, reversed)).toBe(-1);
      }),
    );
  });

  test("a crop of the whole image at its own size is the image", () => {
    const rgb = Uint8Array.from({ length: 3 * 64 }, (_, i) => (i * 37) % 256);
    const pixels = new Uint8Array(3 * 64);
    drawView(
      { width: 8, height: 8, rgb },
      { box: { x: 0, y: 0, width: 8, height: 8 }, flip: false },
      8,
      pixels,
    );
    expect(Array.from(pixels, (_, i) => pixels[(i % 3) * 64 + Math.floor(i / 3)])).toEqual([
      ...rgb,
    ]);
  });
});

describe("the object in the global views", () => {
  test("present means enough pixels and a visible patch; not present means nothing visible", () => {
    fc.assert(
      fc.property(scenes, seeds, fc.constantFrom("redraw", "off"), (sample, seed, crop) => {
        const settings = config({ object: { crop, tries: 5, minVisible: 0.05 } });
        const { report, global } = views(sample, settings, seed);
        for (const [index, { visible }] of global.entries()) {
          const present = report.present[index]!;
          if (report.object < 0) expect(present).toBe(false);
          else {
            const mask = maskOf(sample, report.object, report.global[index]!, 32);
            const share = mask.reduce((sum, bit) => sum + bit, 0) / 32 ** 2;
            expect(present).toBe(share >= 0.05);
            if (present) expect([...visible]).toEqual(anyPixel(mask, 32));
          }
          if (!present) expect(visible.every((bit) => bit === 0)).toBe(true);
          const most = crop === "off" || report.object < 0 ? 1 : 5;
          expect(report.tries[index]).toBeLessThanOrEqual(most);
          if (!present) expect(report.tries[index]).toBe(most);
        }
      }),
    );
  });

  test("pixels and mask come from the same place", () => {
    const sample = scene(90, 70, [[20, 10, 40, 35]]);
    for (let seed = 0; seed < 50; seed += 1) {
      const { report, global } = views(sample, config({ color: plainColors }), seed);
      for (const [index, geometry] of report.global.entries()) {
        const mask = maskOf(sample, 0, geometry, 32);
        const white = global[index]!.pixels.subarray(0, 32 * 32);
        const same = mask.filter((bit, i) => bit === (white[i]! > 127 ? 1 : 0)).length;
        expect(same / mask.length).toBeGreaterThan(0.95); // edges may round either way
      }
    }
  });

  test("redrawing finds an object that a single crop often misses", () => {
    const sample = scene(80, 80, [[2, 2, 12, 12]]);
    const share = (crop: string) => {
      const settings = config({ object: { crop }, color: plainColors });
      const found = Array.from({ length: 200 }, (_, seed) => views(sample, settings, seed).report);
      return found.flatMap(({ present }) => present).filter(Boolean).length / 400;
    };
    expect(share("off")).toBeLessThan(0.6);
    expect(share("redraw")).toBeGreaterThan(0.99);
  });

  test("objects below the minimum area are not chosen", () => {
    const sample = scene(100, 100, [
      [0, 0, 10, 10],
      [50, 50, 30, 30],
    ]);
    const settings = config({ object: { choose: "uniform", minArea: 0.02 } });
    for (let seed = 0; seed < 20; seed += 1)
      expect(views(sample, settings, seed).report.object).toBe(1);
    const none = views(sample, config({ object: { minArea: 0.5 } }), 1).report;
    expect(none).toMatchObject({ object: -1, present: [false, false], tries: [1, 1] });
  });

  test("the coverage rule can leave an object unseen, which is then not present", () => {
    const sample = scene(64, 64, [[0, 0, 64, 2]]); // two rows: a quarter of each 8-px patch at most
    const settings = config({
      object: { crop: "off", minVisible: 0 },
      visible: { rule: "coverage", coverage: 0.9 },
      globals: { size: 32, scale: [1, 1], aspect: [1, 1] },
    });
    const { report, global } = views(sample, settings, 3);
    expect(report.present).toEqual([false, false]);
    expect([...global[0]!.visible]).toEqual(Array.from({ length: 16 }, () => 0));
  });
});

describe("crops round an object of the first view", () => {
  test("first view: more than 4 % of one object within 10 tries; others: one pixel within 20", () => {
    fc.assert(
      fc.property(scenes, seeds, (sample, seed) => {
        const { report, global } = views(sample, config({ object: { crop: "first-view" } }), seed);
        const counts = report.global.map((geometry) =>
          report.object < 0
            ? 0
            : maskOf(sample, report.object, geometry, 32).reduce((a, b) => a + b, 0),
        );
        expect(report.present[0]).toBe(report.object >= 0);
        if (report.present[0]) expect(counts[0]).toBeGreaterThan(0.04 * 32 * 32);
        else expect(report).toMatchObject({ present: [false, false], tries: [10, 1] });
        if (report.present[1]) expect(counts[1]).toBeGreaterThan(0);
        else if (report.present[0]) expect(report.tries[1]).toBe(20);
        expect(report.tries[0]).toBeLessThanOrEqual(10);
        expect(report.tries[1]).toBeLessThanOrEqual(20);
        for (const [index, { visible }] of global.entries()) {
          expect(visible.some((bit) => bit === 1)).toBe(report.present[index]);
        }
      }),
    );
  });

  test("the object is chosen among those in the first view", () => {
    const sample = scene(90, 90, [
      [0, 0, 30, 30],
      [60, 60, 30, 30],
    ]);
    const settings = config({ object: { crop: "first-view", choose: "largest" } });
    for (let seed = 0; seed < 50; seed += 1) {
      const { report } = views(sample, settings, seed);
      if (report.object < 0) continue;
      const areas = [0, 1].map((object) =>
        maskOf(sample, object, report.global[0]!, 32).reduce((a, b) => a + b, 0),
      );
      expect(areas[report.object]).toBe(Math.max(...areas));
    }
  });
});

describe("all views of an image", () => {
  const sample = scene(70, 50, [
    [10, 10, 25, 20],
    [40, 5, 20, 30],
  ]);

  test("follow from the random stream alone", () => {
    fc.assert(
      fc.property(scenes, seeds, (image, seed) => {
        expect(views(image, config(), seed)).toEqual(views(image, config(), seed));
      }),
      { numRuns: 20 },
    );
    expect(views(sample, config(), 1)).not.toEqual(views(sample, config(), 2));
  });

  test("visible patches and pixels do not depend on hidden ones", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const some = views(sample, config(), seed);
      const many = views(sample, config({ hidden: { ratio: [0.7], variance: [0] } }), seed);
      expect(many.report).toEqual(some.report);
      expect(many.local).toEqual(some.local);
      for (const [index, view] of some.global.entries()) {
        expect(many.global[index]!.visible).toEqual(view.visible);
        expect(many.global[index]!.pixels).toEqual(view.pixels);
      }
    }
  });

  test("colours move no crop", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const places = (settings: ViewConfig) => {
        const { global, local, ...rest } = views(sample, settings, seed).report;
        return { ...rest, cuts: [...global, ...local].map(({ box, flip }) => ({ box, flip })) };
      };
      expect(places(config())).toEqual(places(config({ color: plainColors })));
    }
  });

  test("hidden patches can be those of the object, of the same that were drawn", () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const hidden = { ratio: [0.5], variance: [0] };
      const [all, own] = (["view", "object"] as const).map((where) =>
        views(sample, config({ hidden: { ...hidden, where } }), seed),
      );
      for (const [view, one] of all!.global.entries()) {
        const inside = own!.global[view]!;
        expect(inside.visible).toEqual(one.visible);
        expect([...inside.hidden]).toEqual(
          Array.from(one.hidden, (byte, patch) => byte & one.visible[patch]!),
        );
      }
    }
  });

  test("hidden patches come about as often as asked", () => {
    const settings = config({ hidden: { shape: "random", ratio: [0.25], variance: [0] } });
    const { global } = views(sample, settings, 1);
    for (const { hidden } of global) expect(hidden.reduce((a, b) => a + b, 0)).toBe(4);
  });

  test("fill shared memory as well as their own", () => {
    const settings = config();
    const own = views(sample, settings, 5);
    const into: ViewSlots = {
      global: own.global.map((slot) => ({
        pixels: shared(slot.pixels.length),
        present: shared(1),
        visible: shared(slot.visible.length),
        hidden: shared(slot.hidden.length),
      })),
      local: own.local.map((slot) => ({ pixels: shared(slot.pixels.length), present: shared(1) })),
    };
    makeViews(sample, settings, PATCH, new Rng("test", 5), into);
    expect(firstDifference(into.global[1]!.pixels, own.global[1]!.pixels)).toBe(-1);
    expect(firstDifference(into.local[1]!.pixels, own.local[1]!.pixels)).toBe(-1);
  });

  test("an image of one pixel gives views of its colour", () => {
    const dot: Sample = {
      key: "dot",
      width: 1,
      height: 1,
      rgb: Uint8Array.of(10, 20, 30),
      objects: [objectFromRuns(rleFromMask(Uint8Array.of(1), 1, 1))],
    };
    const { report, global, local } = views(dot, config({ color: plainColors }), 1);
    expect(report).toMatchObject({ object: 0, present: [true, true], tries: [1, 1] });
    for (const [{ pixels }, n] of [
      [global[0]!, 32 * 32],
      [local[0]!, 16 * 16],
    ] as const) {
      expect([pixels[0], pixels[n], pixels[2 * n]]).toEqual([10, 20, 30]);
    }
    expect(global[1]!.visible.every((bit) => bit === 1)).toBe(true);
  });

  test("slots of another size are our own mistake", () => {
    const into = slots(config());
    expect(() =>
      makeViews(sample, config({ locals: { count: 3, size: 16 } }), PATCH, new Rng(1), into),
    ).toThrow(
      "internal: view slots do not fit 2 global views of 32 px in 16 patches and 3 local views of 16 px, 1 objects",
    );
  });
});

test("every leaf of the configuration is read by the code", () => {
  const settings = structuredClone(
    config({
      locals: { count: 2, size: 16, masked: true },
      masks: { kind: "box", iou: 0.8, missing: 0.1, false: 1 },
      object: { count: 2 },
      color: { jitter: { p: 1 }, blur: { p: [1, 1, 1] } },
      visible: { rule: "boxes" },
    }),
  );
  const leaves = (value: object, path: string): string[] =>
    Object.entries(value).flatMap(([key, child]) =>
      isGroup(child) ? leaves(child, `${path}.${key}`) : [`${path}.${key}`],
    );
  const unread = new Set(leaves(settings, "views"));
  expect(unread.size).toBe(43);
  const watch = <T extends object>(group: T, path: string): T =>
    new Proxy(group, {
      get(target, key) {
        const name = `${path}.${String(key)}`;
        const child: unknown = Reflect.get(target, key);
        unread.delete(name);
        return isGroup(child) ? watch(child, name) : child;
      },
    });
  const sample = scene(60, 60, [
    [10, 10, 30, 30],
    [45, 45, 10, 10],
  ]);
  makeViews(sample, watch(settings, "views"), PATCH, new Rng("leaves"), slots(settings));
  expect([...unread]).toEqual(["views.drawnBy"]); // by those who have views made
});
