import {
  countPatches,
  drawMask,
  drawView,
  type Mask,
  type Runs,
  recolor,
  reducePicture,
} from "@odis/torch/images";
import * as fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { runModule } from "./node.js";

const picture = {
  width: 4,
  height: 2,
  rgb: Uint8Array.from({ length: 24 }, (_, index) => 10 * index),
};
const whole = { x: 0, y: 0, width: 4, height: 2 };
const square = { x: 1, y: 0, width: 2, height: 2 };
const mask: Mask = { width: 4, height: 2, pixels: Uint8Array.of(0, 1, 1, 0, 0, 0, 1, 1) };
/** The same mask. */
const runs: Runs = { width: 4, height: 2, counts: Uint32Array.of(2, 1, 1, 2, 1, 1) };

// Values are compared with Pillow's, and with an independent TypeScript, in packages/odis/test/views.

test("a cut at its own size is the cut, in planes, mirrored if asked", () => {
  const out = new Uint8Array(12);
  drawView(picture, { box: square, flip: false }, 2, out);
  const red = [30, 60, 150, 180];
  const [green, blue] = [red.map((value) => value + 10), red.map((value) => value + 20)];
  expect([...out]).toEqual([...red, ...green, ...blue]);
  drawView(picture, { box: square, flip: true }, 2, out);
  expect([...out.subarray(0, 4)]).toEqual([60, 30, 180, 150]);
});

test("photometric changes follow one after the other", () => {
  const pixels = Uint8Array.from({ length: 12 }, (_, index) => 20 * index);
  recolor(pixels, 2, [
    { change: "brightness", amount: 1.5 },
    { change: "solarize", amount: 128 },
  ]);
  expect([...pixels]).toEqual([0, 30, 60, 90, 120, 105, 75, 45, 15, 0, 0, 0]);
});

test("a picture is reduced to means of blocks, halves up, the last of what there is", () => {
  const out = new Uint8Array(6);
  reducePicture(picture, [3, 2], out);
  // Red of the columns 0..2 of both rows: 0, 30, 60, 120, 150, 180; of column 3: 90, 210.
  expect([...out]).toEqual([90, 100, 110, 150, 160, 170]);
  const two = new Uint8Array(3);
  reducePicture({ width: 1, height: 2, rgb: Uint8Array.of(0, 1, 2, 1, 2, 4) }, [1, 2], two);
  expect([...two]).toEqual([1, 2, 3]);
});

test("a mask's pixels are drawn, and counted in patches", () => {
  const out = new Uint8Array(16);
  expect(drawMask(mask, { box: whole, flip: false }, 4, out)).toBe(8);
  expect([...out]).toEqual([0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 1, 1]);
  const counts = new Int32Array(4);
  expect(countPatches(runs, { box: whole, flip: true }, 4, 2, counts)).toBe(8);
  expect([...counts]).toEqual([2, 2, 4, 0]);
});

test("arrays may lie in memory that threads share", () => {
  const shared = (length: number) => new Uint8Array(new SharedArrayBuffer(length + 8), 8, length);
  const rgb = shared(24);
  rgb.set(picture.rgb);
  const [out, wanted] = [shared(12), new Uint8Array(12)];
  drawView({ ...picture, rgb }, { box: square, flip: true }, 2, out);
  drawView(picture, { box: square, flip: true }, 2, wanted);
  expect([...out]).toEqual([...wanted]);
});

describe("without LibTorch", () => {
  it("works, and loads none of it, in a worker thread, too", async () => {
    const work = `
      const { recolor } = await import("@odis/torch/images");
      const pixels = new Uint8Array(3).fill(100);
      recolor(pixels, 1, [{ change: "brightness", amount: 0.5 }]);
      const { readFileSync } = await import("node:fs");
      const loaded = /libtorch|odis_torch/.test(readFileSync("/proc/self/maps", "utf8"));
      console.log([...pixels].join(), loaded);`;
    const inWorker = `
      import { Worker } from "node:worker_threads";
      ${work}
      new Worker(${JSON.stringify(`(async () => {${work}})()`)}, { eval: true });`;
    const ended = await runModule(inWorker, { LIBTORCH: "/nowhere" });
    expect(ended).toMatchObject({ code: 0, stdout: "50,50,50 false\n50,50,50 false\n" });
  });
});

describe("what does not fit is refused by name", () => {
  const out = new Uint8Array(12);
  const draw = (changes: {
    width?: number;
    box?: Partial<typeof square>;
    size?: number;
    out?: Uint8Array;
  }) => {
    const { width = 4, box = {}, size = 2 } = changes;
    const cut = { box: { ...square, ...box }, flip: false };
    return () => drawView({ ...picture, width }, cut, size, changes.out ?? out);
  };
  it.each([
    [draw({ width: 5 }), "draw: rgb: got 24 elements, wanted 30"],
    [draw({ width: 0 }), "draw: width: got 0, wanted a whole number from 1 to 65536"],
    [draw({ box: { x: 4 } }), "draw: box.x: got 4, wanted a whole number from 0 to 3"],
    [draw({ box: { width: 4 } }), "draw: box.width: got 4, wanted a whole number from 1 to 3"],
    [draw({ box: { y: -1 } }), "draw: box.y: got -1, wanted a whole number from 0 to 1"],
    [draw({ box: { height: Number.NaN } }), "draw: box.height: got nan, wanted a whole number"],
    [
      draw({ box: { height: 1.5 } }),
      "draw: box.height: got 1.5, wanted a whole number from 1 to 2",
    ],
    [draw({ size: 3 }), "draw: out: got 12 elements, wanted 27"],
    [draw({ size: 1e9 }), "draw: size: got 1000000000, wanted a whole number from 1 to 8192"],
    [
      draw({ out: new Float32Array(12) as unknown as Uint8Array }),
      "draw: out is not an array of the type wanted",
    ],
    [
      () => recolor(out, 2, [{ change: "hue", amount: Number.NaN }]),
      "recolor: steps: the amount nan is not from -1000 to 1000",
    ],
    [
      () => recolor(out, 2, [{ change: "blur", amount: -1 }]),
      "recolor: steps: the amount -1 is not from 0 to 1000",
    ],
    [
      () => recolor(out, 2, [{ change: "sharpen" as "blur", amount: 1 }]),
      "recolor: steps: there is no change -1",
    ],
    [
      () =>
        recolor(
          out,
          2,
          Array.from({ length: 65 }, () => ({ change: "gray", amount: 0 })),
        ),
      "recolor: steps: got 130 numbers, wanted pairs, at most 64 of them",
    ],
    [
      () => countPatches(runs, { box: whole, flip: false }, 4, 3, new Int32Array(1)),
      "patches: patch: got 3, wanted a divisor of 4",
    ],
    [
      () => countPatches(runs, { box: whole, flip: false }, 4, 2, new Int32Array(3)),
      "patches: counts: got 3 elements, wanted 4",
    ],
    [
      () =>
        countPatches({ ...runs, height: 3 }, { box: whole, flip: false }, 4, 2, new Int32Array(4)),
      "patches: runs: got 8 pixels in them, wanted 12",
    ],
    [
      () => drawMask({ ...mask, height: 3 }, { box: whole, flip: false }, 2, new Uint8Array(4)),
      "nearest: mask: got 8 elements, wanted 12",
    ],
    [
      () => reducePicture(picture, [5, 1], out),
      "reduce: columns: got 5, wanted a whole number from 1 to 4",
    ],
    [
      () => reducePicture(picture, [1, 0], out),
      "reduce: rows: got 0, wanted a whole number from 1 to 2",
    ],
    [
      () => reducePicture(picture, [3, 1], out.subarray(1)),
      "reduce: out: got 11 elements, wanted 12",
    ],
  ])("case %#", (call, text) => {
    expect(call).toThrow(RangeError);
    expect(call).toThrow(text);
  });

  test("whatever the arguments are, there is an error or a result, never a crash", () => {
    const wild = fc.oneof(fc.integer({ min: -9, max: 99 }), fc.double(), fc.constant(2 ** 31));
    const mostly = <T>(usual: fc.Arbitrary<T>, unusual: fc.Arbitrary<unknown> = wild) =>
      fc.oneof({ weight: 9, arbitrary: usual }, { weight: 1, arbitrary: unusual as typeof usual });
    const array = (length: number) =>
      mostly(
        fc.constant(new Uint8Array(length)),
        fc.constantFrom(new Uint8Array(length + 1), new Float64Array(length), undefined, length),
      );
    const rectangle = (width: number, height: number) =>
      fc.record({
        x: mostly(fc.constant(0)),
        y: mostly(fc.integer({ min: 0, max: height - 1 })),
        width: mostly(fc.integer({ min: 1, max: width })),
        height: mostly(fc.constant(1)),
      });
    const side = fc.integer({ min: 1, max: 6 });
    const change = mostly(fc.constantFrom("hue", "blur", "contrast"), fc.constant("none"));
    const amount = mostly(fc.double({ min: 0, max: 2, noNaN: true }));
    const calls = fc.tuple(side, side, side).chain(([width, height, size]) =>
      fc.record({
        picture: fc.record({
          width: mostly(fc.constant(width)),
          height: mostly(fc.constant(height)),
          rgb: array(3 * width * height),
          pixels: array(width * height),
          counts: mostly(
            fc
              .integer({ min: 0, max: width * height })
              .map((first) => Uint32Array.of(first, width * height - first)),
            fc.constantFrom(new Uint32Array(1), new Uint8Array([width * height]), undefined),
          ),
        }),
        cut: fc.record({ box: rectangle(width, height), flip: mostly(fc.boolean()) }),
        size: mostly(fc.constant(size)),
        patch: mostly(fc.constantFrom(1, size)),
        out: array(3 * size * size),
        drawn: array(size * size),
        counts: mostly(fc.constantFrom(new Int32Array(size * size), new Int32Array(1))),
        steps: fc.array(fc.record({ change, amount }), { maxLength: 4 }),
      }),
    );
    let [results, errors] = [0, 0];
    const attempt = (call: () => void) => {
      try {
        call();
        results += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
        errors += 1;
      }
    };
    fc.assert(
      fc.property(calls, ({ picture, cut, size, patch, out, drawn, counts, steps }) => {
        attempt(() => drawView(picture, cut, size, out, steps));
        attempt(() => recolor(out, size, steps));
        attempt(() => reducePicture(picture, [cut.box.width, patch], out));
        attempt(() => drawMask(picture, cut, size, drawn));
        attempt(() => countPatches(picture, cut, size, patch, counts));
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(results, errors)).toBeGreaterThan(500);
  });
});
