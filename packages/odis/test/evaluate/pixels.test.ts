import { describe, expect, it } from "vitest";
import type { FramedImage } from "../../src/features/frame.js";
import { frameObject, framePixels } from "../../src/features/frame.js";
import { frameBox } from "../../src/portable/index.js";
import { modes } from "../../src/features/frame.js";
import { cutOut, PixelExtractor } from "../../src/evaluate/pixels.js";

/** 4 x 3 pixels, each with its own number in all channels; the object is an L of three pixels. */
const sample = {
  key: "tiny",
  width: 4,
  height: 3,
  rgb: Uint8Array.from({ length: 36 }, (_, i) => 10 * Math.floor(i / 3)),
  objects: [],
};
const object = {
  id: 1,
  label: 0,
  area: 3,
  box: { x: 1, y: 1, width: 2, height: 2 },
  pixels: () => Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0]),
};
const framed: FramedImage = {
  index: 0,
  sample,
  pixels: new Uint8Array(),
  objects: [
    { index: 0, object, seen: object, inside: new Uint8Array(), visible: new Uint8Array() },
  ],
};

const gray = (values: number[]): number[] => values.flatMap((value) => [value, value, value]);

describe("raw pixels", () => {
  it("cuts the box out, with the background or black", () => {
    expect([...cutOut(sample, object, false).rgb]).toEqual(gray([50, 60, 90, 100]));
    expect([...cutOut(sample, object, true).rgb]).toEqual(gray([50, 0, 90, 100]));
  });

  it.each(modes)("has mean 0 and length 1 (%s)", (mode) => {
    const extractor = new PixelExtractor(mode);
    extractor.push(framed);
    const { features, width } = extractor.rows();
    expect([width, features.length]).toEqual([3 * 28 * 28, 3 * 28 * 28]);
    expect(features.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 3);
    expect(Math.hypot(...features)).toBeCloseTo(1, 5);
  });

  it("does not see the brightness of a picture", () => {
    const rows = [1, 2].map((times) => {
      const extractor = new PixelExtractor("none");
      extractor.push({ ...framed, sample: { ...sample, rgb: sample.rgb.map((v) => v * times) } });
      return extractor.rows().features;
    });
    // Bytes are rounded, so not 1 to the last digit.
    const similarity = rows[0]!.reduce((sum, value, i) => sum + value * rows[1]![i]!, 0);
    expect(similarity).toBeGreaterThan(0.999);
  });

  it("is all zeros for a picture of one colour, not NaN", () => {
    const extractor = new PixelExtractor("none");
    extractor.push({ ...framed, sample: { ...sample, rgb: new Uint8Array(36).fill(7) } });
    expect(extractor.rows().features.every((value) => value === 0)).toBe(true);
  });
});

describe("the frame", () => {
  it("is everything, or the middle 224/256 of the short side", () => {
    expect(frameBox({ width: 640, height: 512 }, "whole")).toEqual({
      x: 0,
      y: 0,
      width: 640,
      height: 512,
    });
    expect(frameBox({ width: 640, height: 512 }, "center")).toEqual({
      x: 96,
      y: 32,
      width: 448,
      height: 448,
    });
    expect(frameBox({ width: 1, height: 1 }, "center").width).toBe(1);
  });

  it("keeps pixels as they are where nothing is resized", () => {
    const square = { ...sample, width: 4, height: 4, rgb: new Uint8Array(48).map((_, i) => i) };
    const planar = framePixels(square, { frame: "whole", size: 4, patch: 2 });
    expect([...planar.subarray(0, 4)]).toEqual([0, 3, 6, 9]);
    expect([...planar.subarray(16, 20)]).toEqual([1, 4, 7, 10]);
  });

  it("shows the patches that the object touches, and none of an object outside", () => {
    const options = { frame: "whole", size: 4, patch: 2 } as const;
    const square = { ...sample, width: 4, height: 4, rgb: new Uint8Array(48) };
    const at = (x: number, y: number) => ({
      ...object,
      pixels: () => Uint8Array.from({ length: 16 }, (_, i) => Number(i === 4 * y + x)),
    });
    expect([...frameObject(square, at(3, 1), options)!.visible]).toEqual([0, 1, 0, 0]);
    expect([...frameObject(square, at(0, 2), options)!.visible]).toEqual([0, 0, 1, 0]);
    expect([...frameObject(square, at(0, 2), options)!.inside].indexOf(1)).toBe(8);
    const wide = { ...sample, width: 8, height: 2, rgb: new Uint8Array(48) };
    const corner = {
      ...object,
      pixels: () => Uint8Array.from({ length: 16 }, (_, i) => +(i === 0)),
    };
    expect(frameObject(wide, corner, { ...options, frame: "center" })).toBeUndefined();
  });
});
