import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DataError,
  objectFromBox,
  objectFromPixels,
  objectFromPolygons,
  objectFromRle,
  objectsFromLabelMap,
} from "odis";

const frame = { width: 6, height: 4 };
/** Columns 1 to 3, rows 1 and 2. */
const pixels = Uint8Array.from({ length: 24 }, (_, at) => {
  const [x, y] = [at % 6, Math.floor(at / 6)];
  return Number(x >= 1 && x <= 3 && y >= 1 && y <= 2);
});

describe("every kind of mask becomes the same object", () => {
  const about = { id: 3, label: 2, score: 0.5 };
  test.each([
    ["pixels", objectFromPixels(pixels, frame, about)],
    ["a box", objectFromBox([1, 1, 3, 2], frame, about)],
    ["polygons", objectFromPolygons([[1, 1, 4, 1, 4, 3, 1, 3]], frame, about)],
    ["runs", objectFromRle({ size: [4, 6], counts: [5, 2, 2, 2, 2, 2, 9] }, frame, about)],
    ["compressed runs", objectFromRle({ size: [4, 6], counts: "5220007" }, frame, about)],
  ])("%s", (_, object) => {
    const { area, box, id, label, score } = object;
    expect({ area, box, id, label, score }).toEqual({
      area: 6,
      box: { x: 1, y: 1, width: 3, height: 2 },
      ...about,
    });
    expect(object.pixels()).toEqual(pixels);
  });

  test("a label map holds one for each value", () => {
    const values = Uint16Array.from(pixels, (bit, at) => (bit ? 7 : at === 23 ? 999 : 0));
    const objects = objectsFromLabelMap(values, frame, { label: (value) => value % 10 });
    expect(objects.map(({ id, label, area }) => [id, label, area])).toEqual([
      [7, 7, 6],
      [999, 9, 1],
    ]);
    expect(objects[0]!.pixels()).toEqual(pixels);
  });

  test("label maps of any kind are taken apart without loss", () => {
    const map = fc
      .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
      .chain(([width, height]) =>
        fc.record({
          width: fc.constant(width),
          height: fc.constant(height),
          values: fc.array(fc.nat(3), { minLength: width * height, maxLength: width * height }),
        }),
      );
    fc.assert(
      fc.property(map, ({ width, height, values }) => {
        const again = Array.from({ length: width * height }, () => 0);
        const objects = objectsFromLabelMap(values, { width, height }, { ignore: [0, 2] });
        for (const object of objects) {
          const mask = object.pixels();
          for (const [at, bit] of mask.entries()) if (bit) again[at] = object.id;
          expect(mask.reduce((sum, bit) => sum + bit, 0)).toBe(object.area);
        }
        expect(again).toEqual(values.map((value) => (value === 2 ? 0 : value)));
      }),
    );
  });
});

describe("a mask that cannot be is refused with a sentence", () => {
  test.each<[() => unknown, string]>([
    [
      () => objectFromPixels(pixels, { width: 5, height: 4 }),
      "mask: got 24 values; wanted 20, the image's 5 × 4",
    ],
    [
      () => objectFromBox([1, 1, 3, 2], { width: 0, height: Number.NaN }),
      "mask: the image's width and height are 0 and NaN; wanted whole numbers of pixels, 1 or more",
    ],
    [
      () => objectFromBox([1, 1, Number.NaN, 2], frame),
      "box: got [1,1,NaN,2]; wanted [x, y, width, height] in pixels, width and height above 0",
    ],
    [
      () => objectFromPolygons([Array.from({ length: 200_002 }, () => 1)], frame),
      "polygons: got 100001 points; wanted at most 100000",
    ],
    [
      () =>
        objectsFromLabelMap(
          Float64Array.from({ length: 10_002 }, (_, at) => at),
          { width: 2, height: 5001 },
        ),
      "label map: more than 10000 different values; wanted one for each object or class",
    ],
  ])("%#: %s", (make, message) => {
    expect(make).toThrow(new DataError(message));
  });
});
