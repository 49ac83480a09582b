import { describe, expect, test } from "vitest";
import type { Sample } from "../../src/data/dataset.js";
import type { Box } from "../../src/objects/object.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import { rleFromMask } from "../../src/objects/rle.js";
import { Rng } from "../../src/core/rng.js";
import { type ViewConfig, viewConfig } from "../../src/views/config.js";
import { drawCropBox } from "../../src/views/crop-box.js";
import { drawCrops } from "../../src/views/object-crop.js";
import { resampleNearest } from "../../src/portable/index.js";
import { makeViews, newViewSlots } from "../../src/views/views.js";

const PATCH = 8;

function picture(width: number, height: number, inside: (x: number, y: number) => boolean): Sample {
  const mask = Uint8Array.from({ length: width * height }, (_, i) =>
    Number(inside(i % width, Math.floor(i / width))),
  );
  const objects = [objectFromRuns(rleFromMask(mask, width, height), { label: 0 })];
  return { key: "exact", width, height, rgb: new Uint8Array(3 * width * height), objects };
}

function config(globals: object, object: object = {}): ViewConfig {
  return viewConfig.parse({
    globals: { size: 32, count: 1, ...globals },
    locals: { count: 0 },
    object: { crop: "exact", minArea: 0, ...object },
    color: { jitter: { p: 0 }, gray: 0, blur: { p: [0, 0, 0] }, solarize: 0 },
  });
}

interface Drawn {
  readonly boxes: readonly Box[];
  /** mean */
  readonly looks: number;
}

function exact(sample: Sample, settings: ViewConfig, draws: number): Drawn {
  const sight = {
    visible: new Uint8Array((settings.globals.size / PATCH) ** 2),
    present: new Uint8Array(1),
  };
  const global = Array.from({ length: draws }, () => sight);
  const crops = drawCrops(sample, settings, PATCH, new Rng("exact"), { global, local: [] }).global;
  expect(sight.present[0]).toBe(1);
  return {
    boxes: crops.map(({ geometry }) => geometry.box),
    looks: crops.reduce((sum, { tries }) => sum + tries, 0) / draws,
  };
}

/** Plain crops, the present ones kept: the definition. */
function rejection(sample: Sample, settings: ViewConfig, draws: number): Drawn {
  const rng = new Rng("rejection");
  const { globals, object } = settings;
  const mask = sample.objects[0]!.pixels();
  const out = new Uint8Array(globals.size ** 2);
  let looks = 0;
  const boxes = Array.from({ length: draws }, () => {
    for (;;) {
      looks += 1 / draws;
      const box = drawCropBox(sample.width, sample.height, globals, rng);
      const count = resampleNearest(mask, sample.width, { box, flip: false }, globals.size, out);
      if (count > 0 && count >= object.minVisible * globals.size ** 2) return box;
    }
  });
  return { boxes, looks };
}

/** The largest distance of two empirical distributions, in units of its spread under equality. */
function kolmogorovSmirnov(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [a.toSorted((p, q) => p - q), b.toSorted((p, q) => p - q)];
  let [i, j, worst] = [0, 0, 0];
  while (i < x.length && j < y.length) {
    const value = Math.min(x[i]!, y[j]!);
    while (x[i] === value) i += 1;
    while (y[j] === value) j += 1;
    worst = Math.max(worst, Math.abs(i / x.length - j / y.length));
  }
  return worst * Math.sqrt((a.length * b.length) / (a.length + b.length));
}

const disc = (cx: number, cy: number, radius: number) => (x: number, y: number) =>
  Math.hypot(x - cx, y - cy) < radius;

describe("exact crops are distributed as plain ones that show the object", () => {
  const cases: readonly (readonly [string, Sample, ViewConfig])[] = [
    ["in the middle", picture(120, 90, disc(60, 45, 20)), config({})],
    ["small, in a corner", picture(120, 90, disc(3, 86, 5)), config({}, { minVisible: 0.005 })],
    ["hardly large enough", picture(120, 120, disc(80, 30, 7)), config({})],
    ["thin, at an edge", picture(90, 120, (x, y) => x > 86 && y > 20 && y < 100), config({})],
    [
      "in two parts far apart",
      picture(120, 90, (x, y) => disc(10, 10, 8)(x, y) || disc(105, 75, 8)(x, y)),
      config({}),
    ],
    [
      "in a local view",
      picture(120, 90, disc(20, 70, 9)),
      config({ size: 16, scale: [0.05, 0.25] }),
    ],
    [
      "in a wide image, where many sizes do not fit",
      picture(300, 40, disc(220, 15, 14)),
      config({ scale: [0.15, 1] }),
    ],
    [
      "where the central crop shows it and mostly nothing else fits",
      picture(400, 24, disc(190, 12, 9)),
      config({ scale: [0.2, 1] }),
    ],
    [
      "of one size and aspect",
      picture(100, 80, disc(75, 60, 12)),
      config({ scale: [0.25, 0.25], aspect: [1, 1] }),
    ],
    ["of one pixel", picture(60, 60, (x, y) => x === 50 && y === 7), config({}, { minVisible: 0 })],
  ];
  const draws = 4000;

  test.each(cases)("%s", (_, sample, settings) => {
    const [got, wanted] = [exact(sample, settings, draws), rejection(sample, settings, draws)];
    const measures: readonly ((box: Box) => number)[] = [
      ({ width, height }) => width * height,
      ({ width, height }) => width / height,
      ({ x }) => x,
      ({ y }) => y,
      ({ x, width }) => x + width,
      ({ y, height }) => y + height,
      ({ x, width, y, height }) => x + width / 2 + 3 * (y + height / 2),
    ];
    for (const measure of measures) {
      const distance = kolmogorovSmirnov(got.boxes.map(measure), wanted.boxes.map(measure));
      expect(distance).toBeLessThan(1.95); // one in a thousand among equal distributions
    }
    expect(got.looks).toBeLessThan(Math.max(4, wanted.looks / 4));
  });

  test("box by box in a tiny image, whose sizes often do not fit", () => {
    const sample = picture(9, 4, (x, y) => x > 5 && y < 2); // the central crop shows it
    const settings = config({ size: 8, scale: [0.1, 1] }, { minVisible: 0.05 });
    const draws = 40_000;
    const tally = ({ boxes }: Drawn) => {
      const counts = new Map<string, number>();
      for (const { x, y, width, height } of boxes) {
        const key = [x, y, width, height].join();
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      return counts;
    };
    const a = tally(exact(sample, settings, draws));
    const b = tally(rejection(sample, settings, draws));
    const keys = [...new Set([...a.keys(), ...b.keys()])];
    const terms = keys.map((key) => {
      const [p, q] = [a.get(key) ?? 0, b.get(key) ?? 0];
      return (p - q) ** 2 / (p + q);
    });
    const [freedom, chi] = [keys.length - 1, terms.reduce((x, y) => x + y, 0)];
    expect(freedom).toBeGreaterThan(20);
    expect(chi).toBeLessThan(freedom + 3.3 * Math.sqrt(2 * freedom));
  });
});

describe("when no crop can show the object", () => {
  test.each([
    ["too small", picture(100, 100, disc(50, 50, 3))],
    ["too thin for its box", picture(100, 100, (x, y) => x === y && x > 20)],
  ])("%s: a plain crop stays, without the object", (_, sample) => {
    const settings = config({ count: 2 }, { minVisible: 0.1 });
    const into = newViewSlots(settings, PATCH);
    const report = makeViews(sample, settings, PATCH, new Rng("lost"), into);
    expect(report.tries).toEqual([1, 1]);
    for (const { present, visible } of into.global)
      expect([...present, ...visible].every((bit) => bit === 0)).toBe(true);
  });

  test("the plain crop is one that redrawing could have left", () => {
    const sample = picture(100, 100, disc(50, 50, 3));
    const draw = (crop: string) => {
      const global = Array.from({ length: 4000 }, () => ({ present: new Uint8Array(1) }));
      const settings = config({}, { crop, minVisible: 0.1 });
      const rng = new Rng("plain", crop);
      const crops = drawCrops(sample, settings, PATCH, rng, { global, local: [] });
      return crops.global.map(({ geometry }) => geometry.box);
    };
    const [got, wanted] = [draw("exact"), draw("redraw")];
    const area = ({ width, height }: Box) => width * height;
    expect(kolmogorovSmirnov(got.map(area), wanted.map(area))).toBeLessThan(1.95);
  });
});

test("local views that are aware of objects never miss one that they can show", () => {
  const sample = picture(120, 90, disc(4, 4, 6));
  const settings = viewConfig.parse({
    globals: { size: 32 },
    locals: { count: 8, size: 16, aware: true, masked: true },
    object: { crop: "exact" },
  });
  for (let seed = 0; seed < 20; seed += 1) {
    const into = newViewSlots(settings, PATCH);
    makeViews(sample, settings, PATCH, new Rng("locals", seed), into);
    for (const { present, visible } of into.local) {
      expect(present[0]).toBe(1);
      expect(visible!.some((bit) => bit === 1)).toBe(true);
    }
  }
});
