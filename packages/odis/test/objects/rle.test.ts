import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatCounts,
  parseCounts,
  parseRle,
  rleArea,
  rleBox,
  rleFromMask,
  rleToMask,
} from "../../src/objects/rle.js";
import { DataError } from "../../src/core/errors.js";

const masks = fc
  .record({ width: fc.integer({ min: 1, max: 12 }), height: fc.integer({ min: 1, max: 12 }) })
  .chain(({ width, height }) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      mask: fc.uint8Array({ min: 0, max: 1, minLength: width * height, maxLength: width * height }),
    }),
  );

describe("run lengths", () => {
  test("read columns first and start outside", () => {
    // 1 0 1
    // 1 1 0
    const rle = rleFromMask(Uint8Array.of(1, 0, 1, 1, 1, 0), 3, 2);
    expect(Array.from(rle.counts)).toEqual([0, 2, 1, 2, 1]);
  });

  test("a mask survives the way to runs and to text and back", () => {
    fc.assert(
      fc.property(masks, ({ width, height, mask }) => {
        const rle = rleFromMask(mask, width, height);
        expect(rleToMask(rle)).toEqual(mask);
        const text = { size: [height, width], counts: formatCounts(rle.counts) };
        expect(parseRle(text, width, height)).toEqual(rle);
        const numbers = { size: [height, width], counts: Array.from(rle.counts) };
        expect(parseRle(numbers, width, height)).toEqual(rle);
      }),
    );
  });

  test("large and falling counts survive as text", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 2 ** 31 - 1 })), (counts) => {
        expect(parseCounts(formatCounts(counts))).toEqual(counts);
      }),
    );
  });

  test("area and box are those of the pixels, also with empty runs", () => {
    fc.assert(
      fc.property(masks, fc.nat(), ({ width, height, mask }, seed) => {
        const { counts } = rleFromMask(mask, width, height);
        const at = seed % (counts.length + 1); // an empty pair of runs anywhere changes nothing
        const padded = [...counts.slice(0, at), 0, 0, ...counts.slice(at)];
        const rle = { width, height, counts: Uint32Array.from(padded) };
        const inside = [...mask.keys()].filter((index) => mask[index]);
        expect(rleArea(rle)).toBe(inside.length);
        const [xs, ys] = [inside.map((i) => i % width), inside.map((i) => Math.floor(i / width))];
        const [x, y] = [Math.min(...xs), Math.min(...ys)];
        expect(rleBox(rle)).toEqual(
          inside.length === 0
            ? { x: 0, y: 0, width: 0, height: 0 }
            : { x, y, width: Math.max(...xs) - x + 1, height: Math.max(...ys) - y + 1 },
        );
      }),
    );
  });
});

describe("malformed runs are refused", () => {
  const size = [2, 3];
  test.each([
    [null, "RLE: got null; wanted { size: [height, width], counts }"],
    [
      { size: [3, 2], counts: [6] },
      "RLE size: got [3,2]; wanted [2, 3], the image's height and width",
    ],
    [{ counts: [6] }, "RLE size: got missing; wanted [2, 3], the image's height and width"],
    [{ size, counts: 6 }, "RLE counts: got 6; wanted numbers or a compressed string"],
    [{ size, counts: [2, 3] }, "RLE counts: they add up to 5 pixels; wanted 6, the image's 3 × 2"],
    [{ size, counts: [7, -1] }, "RLE counts: got -1 at index 1; wanted whole numbers, 0 or more"],
    [
      { size, counts: [5.5, 0.5] },
      "RLE counts: got 5.5 at index 0; wanted whole numbers, 0 or more",
    ],
    [{ size, counts: [6, "0"] }, 'RLE counts: got "0" at index 1; wanted whole numbers, 0 or more'],
    [{ size, counts: "6 " }, 'RLE counts: got " " at position 1; wanted characters "0" to "o"'],
    [{ size, counts: "6P" }, "RLE counts: the string of 2 characters ends in a number"],
    [
      { size, counts: "PPPPPPPPPP0" },
      "RLE counts: the number before position 8 has too many digits",
    ],
    [{ size, counts: "7O" }, "RLE counts: got -1 at index 1; wanted whole numbers, 0 or more"],
  ])("%j", (value, message) => {
    expect(() => parseRle(value, 3, 2)).toThrow(new DataError(message));
  });
});
