import { Generator } from "@odis/torch";
import { recolor } from "@odis/torch/images";
import { assert, constantFrom, integer, nat, property, record } from "fast-check";
import { describe, expect, it } from "vitest";
import { augmentedWindows } from "../../src/evaluate/augmented.js";
import { WindowPasses } from "../../src/evaluate/windows.js";
import { boxPixels, type FramedImage } from "../../src/features/frame.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { buildNetwork } from "../../src/train/state.js";

/** A picture, of which nobody looks at the pixels unless they are given. */
function picture(width: number, height: number, index = 0, rgb = new Uint8Array(0)): FramedImage {
  const sample = { key: `${index}`, width, height, rgb, objects: [] };
  return { index, sample, pixels: new Uint8Array(0), objects: [] };
}

const windows = (
  image: FramedImage,
  epochs: number,
  seed = 0,
  frame: "whole" | "center" = "whole",
) => augmentedWindows(image, { epochs, seed, frame });

describe("augmentedWindows", () => {
  it("are crops of half to all of what the frame shows, of the permitted aspects", () => {
    const cases = record({
      width: integer({ min: 20, max: 900 }),
      height: integer({ min: 20, max: 900 }),
      seed: nat(),
      frame: constantFrom("whole" as const, "center" as const),
    });
    assert(
      property(cases, ({ width, height, seed, frame }) => {
        // The frame of `center`: 224 / 256 of the shorter side, in the middle.
        const side = Math.round((Math.min(width, height) * 224) / 256);
        const shown = frame === "whole" ? [width, height] : [side, side];
        const begin = [width, height].map((all, axis) => Math.round((all - shown[axis]!) / 2));
        for (const { box, index, of } of windows(picture(width, height), 5, seed, frame)) {
          expect([index < 5, of]).toEqual([true, 5]);
          const ends = [box.x + box.width, box.y + box.height];
          for (const axis of [0, 1]) {
            expect([box.x, box.y][axis]).toBeGreaterThanOrEqual(begin[axis]!);
            expect(ends[axis]).toBeLessThanOrEqual(begin[axis]! + shown[axis]!);
          }
          // Sides are rounded to whole pixels.
          expect((box.width - 0.5) / (box.height + 0.5)).toBeLessThan(4 / 3);
          expect((box.width + 0.5) / (box.height - 0.5)).toBeGreaterThan(3 / 4);
          const isCentral = Math.max(...shown) / Math.min(...shown) > 4 / 3;
          if (!isCentral)
            expect((box.width + 0.5) * (box.height + 0.5)).toBeGreaterThan(
              0.5 * shown[0]! * shown[1]!,
            );
        }
      }),
    );
  });

  it("are the largest in the middle where none fits: by hand, of 100 x 10 and 10 x 100", () => {
    // 500 pixels at least, at most 4/3 as wide as high: 20 rows or more.
    const [wide] = windows(picture(100, 10), 1);
    expect(wide!.box).toEqual({ x: 43, y: 0, width: 13, height: 10 });
    const [high] = windows(picture(10, 100), 1);
    expect(high!.box).toEqual({ x: 0, y: 43, width: 10, height: 13 });
  });

  it("show all of a square as often as ten draws that do not fit follow each other", () => {
    // By hand: area and aspect fit where area · aspect <= 1 and area / aspect <= 1, so with t = log aspect,
    // uniform within ±log 4/3, by the mean of e^-|t| - 1/2 over 3/2: (3/4 shares are left of e^-t at most).
    const L = Math.log(4 / 3);
    const fits = ((1 - 3 / 4) / L - 0.5) / 1.5;
    const wanted = (1 - fits) ** 10;
    const all = Array.from(
      { length: 4000 },
      (_, index) => windows(picture(600, 600, index), 1)[0]!,
    );
    const whole = all.filter(({ box }) => box.width === 600 && box.height === 600).length;
    expect(Math.abs(whole / all.length - wanted)).toBeLessThan(
      4 * Math.sqrt((wanted * (1 - wanted)) / all.length),
    );
    expect(wanted).toBeGreaterThan(0.02);
  });

  it("change each of four things about colours in half of the cases, on its own, by a tenth at most", () => {
    const all = Array.from({ length: 4000 }, (_, index) => windows(picture(40, 30, index), 1)[0]!);
    const order = ["brightness", "contrast", "saturation", "hue"] as const;
    const chains = all.map(({ steps }) => steps!.map(({ change }) => change as string));
    for (const chain of chains) expect(chain).toEqual(order.filter((one) => chain.includes(one)));
    for (const [at, one] of order.entries()) {
      const share = (of: string[][]) =>
        of.filter((chain) => chain.includes(one)).length / of.length;
      expect(Math.abs(share(chains) - 0.5)).toBeLessThan(0.032); // 4 standard deviations
      const before = order[(at + 3) % 4]!;
      const beside = chains.filter((chain) => chain.includes(before));
      expect(Math.abs(share(beside) - 0.5)).toBeLessThan(0.045);
      const neutral = one === "hue" ? 0 : 1;
      const amounts = all.flatMap(({ steps }) =>
        steps!.filter(({ change }) => change === one).map(({ amount }) => amount - neutral),
      );
      expect(Math.min(...amounts)).toBeGreaterThanOrEqual(-0.1);
      expect(Math.max(...amounts)).toBeLessThan(0.1);
      expect(Math.max(...amounts) - Math.min(...amounts)).toBeGreaterThan(0.19);
    }
  });

  it("follow from seed, image and epoch alone", () => {
    const image = picture(64, 48, 3);
    const [first, second] = windows(image, 2);
    expect(windows(image, 2)).toEqual([first, second]);
    const boxes = [first!, second!, windows(image, 2, 1)[0]!, windows(picture(64, 48, 4), 2)[0]!];
    expect(new Set(boxes.map(({ box, steps }) => JSON.stringify([box, steps]))).size).toBe(4);
    // Another number of epochs shows the same ones first.
    expect(windows(image, 3)[1]).toEqual({ ...second!, of: 3 });
  });
});

describe("WindowPasses", () => {
  it("show a window's part of the picture in its colours", () => {
    const recipe = recipeSchema.parse({
      model: { dim: 16, depth: 1, heads: 2, patch: 8 },
      head: { hidden: 16, bottleneck: 8, prototypes: 8 },
      views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
    });
    const network = buildNetwork(recipe, "teacher").init(new Generator(3)).requiresGrad_(false);
    const rgb = Uint8Array.from({ length: 3 * 60 * 50 }, (_, at) => (at * 37) % 256);
    const image = picture(60, 50, 0, rgb);
    const shown = windows(image, 6);
    expect(shown.some(({ steps }) => steps!.length > 1)).toBe(true);
    const seen: (readonly [Uint8Array, unknown])[] = [];
    const reader = {
      blocks: 1,
      patches: true,
      read: (_: unknown, rows: readonly { pixels: Uint8Array; image: FramedImage }[]) => {
        for (const row of rows) seen.push([row.pixels, row.image.window]);
      },
    };
    const passes = new WindowPasses(32, () => shown, [{ network, readers: [reader] }]);
    passes.push(image);
    passes.finish();
    const wanted = shown.map((window) => {
      const pixels = boxPixels(image.sample, window.box, 32);
      recolor(pixels, 32, window.steps!);
      return [pixels, window] as const;
    });
    expect(seen).toEqual(wanted);
    network.free();
  });
});
