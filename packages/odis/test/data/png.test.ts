import * as fc from "fast-check";
import sharp from "sharp";
import { expect, test } from "vitest";
import { decodeOwnPng, encodePng } from "../../src/data/png.js";

const picture = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([width, height]) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      rgb: fc.uint8Array({ minLength: 3 * width * height, maxLength: 3 * width * height }),
    }),
  );

test("an image library reads what was written, and so do we", async () => {
  await fc.assert(
    fc.asyncProperty(picture, async ({ width, height, rgb }) => {
      const file = await encodePng(rgb, width, height);
      const { data, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
      expect([info.width, info.height, info.channels]).toEqual([width, height, 3]);
      expect([...data]).toEqual([...rgb]);
      expect(decodeOwnPng(file)).toEqual({ width, height, rgb });
    }),
    { numRuns: 50 },
  );
});

test("every other file is left to the image library", async () => {
  const rgb = new Uint8Array(3 * 64);
  const file = await encodePng(rgb, 8, 8);
  for (let length = 0; length < file.length; length += 1) {
    expect(decodeOwnPng(file.subarray(0, length))).toBeUndefined();
  }
  for (let at = 0; at < file.length; at += 1) {
    const changed = Buffer.from(file);
    changed[at]! ^= 1;
    expect(decodeOwnPng(changed)).toBeUndefined();
  }
  const raw = { raw: { width: 8, height: 8, channels: 3 } } as const;
  expect(decodeOwnPng(await sharp(rgb, raw).png().toBuffer())).toBeUndefined();
  expect(decodeOwnPng(await sharp(rgb, raw).jpeg().toBuffer())).toBeUndefined();
});
