import { array, assert, integer, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { FramedImage } from "../../src/features/frame.js";
import { iouCounts, labelMap, patchShares } from "../../src/evaluate/patches.js";
import { score } from "../../src/evaluate/outcome.js";
import type { SceneObject } from "../../src/objects/object.js";
import { expectClose, golden } from "../golden.js";

describe("intersection over union, against mmsegmentation", () => {
  const reference = golden("metrics", "miou/");
  const { miou } = z
    .object({
      miou: z.object({
        classes: z.int(),
        ignore_index: z.int(),
        iou: z.array(z.number().nullable()),
        mean_iou_nanmean: z.number(),
      }),
    })
    .parse(reference.info);
  const { classes } = miou;
  const [images, height, width] = reference.shape("miou/gt") as [number, number, number];
  const [truth, predicted] = [reference.uint8("miou/gt"), reference.uint8("miou/pred")];
  const sums = new Float64Array(2 * classes);
  for (let image = 0; image < images; image += 1) {
    const [from, to] = [image * height * width, (image + 1) * height * width];
    const counts = iouCounts(
      predicted.subarray(from, to),
      truth.subarray(from, to),
      classes,
      miou.ignore_index,
    );
    for (let c = 0; c < classes; c += 1) {
      sums[c]! += counts.intersections[c]!;
      sums[classes + c]! += counts.unions[c]!;
    }
  }

  it("counts the same pixels", () => {
    expect([...sums.subarray(0, classes)]).toEqual(reference.integers("miou/intersect"));
    expect([...sums.subarray(classes)]).toEqual(reference.integers("miou/union"));
  });

  it("has the same shares of each class, and of its true pixels", () => {
    const areas = reference.integers("miou/label_area");
    const shares = (of: (c: number) => number): number[] =>
      Array.from({ length: classes }, (_, c) => of(c));
    expectClose(
      shares((c) => sums[c]! / sums[classes + c]!),
      reference.floats("miou/iou"),
    );
    expectClose(
      shares((c) => sums[c]! / areas[c]!),
      reference.floats("miou/acc"),
    );
    const both = reference.integers("miou/pred_area").map((area, c) => area + areas[c]!);
    expect(shares((c) => sums[c]! + sums[classes + c]!)).toEqual(both);
  });

  it("has the same mean, classes that are nowhere left out", () => {
    expect(miou.iou).toContain(null);
    expect(score("iou", sums)).toBeCloseTo(miou.mean_iou_nanmean, 12);
  });

  it("is 1 for the truth itself and 0 where nothing agrees", () => {
    const map = array(integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 50 });
    assert(
      property(map, (labels) => {
        const sumsOf = (predicted: number[]): Float64Array => {
          const { intersections, unions } = iouCounts(predicted, labels, 4);
          return Float64Array.of(...intersections, ...unions);
        };
        expect(score("iou", sumsOf(labels))).toBe(1);
        expect(score("iou", sumsOf(labels.map((label) => (label + 1) % 4)))).toBe(0);
      }),
    );
  });
});

/** An object of whole columns of a picture 4 wide and 4 high. */
function columns(id: number, label: number, xs: readonly number[]): SceneObject {
  const pixels = () => Uint8Array.from({ length: 16 }, (_, at) => Number(xs.includes(at % 4)));
  const box = { x: xs[0] ?? 0, y: 0, width: xs.length, height: 4 };
  return { id, label, area: 4 * xs.length, box, pixels };
}

function framed(objects: readonly SceneObject[]): FramedImage {
  const sample = { key: "x", width: 4, height: 4, rgb: new Uint8Array(48), objects };
  return { index: 0, sample, pixels: new Uint8Array(48), objects: [] };
}

const view = { frame: "whole", size: 4, patch: 2 } as const;

describe("labelMap", () => {
  it("paints what is smaller over what is larger, whichever is listed first", () => {
    const [table, cup] = [columns(1, 0, [0, 1, 2]), columns(2, 1, [1])];
    const row = [1, 2, 1, 0];
    for (const objects of [
      [table, cup],
      [cup, table],
    ])
      expect([...labelMap(framed(objects), view).subarray(0, 4)]).toEqual(row);
  });

  it("is another one for another frame of the same image", () => {
    const image = framed([columns(1, 0, [0, 1]), columns(2, 1, [2])]);
    expect([...labelMap(image, view)]).toHaveLength(16);
    expect([...labelMap(image, { ...view, size: 2 })]).toEqual([1, 0, 1, 0]);
  });

  it("says nothing where the class is unknown, and background where nothing is", () => {
    const map = labelMap(
      framed([columns(1, -1, [2, 3]), columns(2, 4, [3]), columns(3, 0, [])]),
      view,
    );
    expect([...map.subarray(4, 8)]).toEqual([0, 0, -1, 5]);
  });
});

describe("patchShares", () => {
  it("are shares of pixels, unknown ones left out", () => {
    const map = Int16Array.of(0, 1, -1, -1, 1, 1, -1, -1, 2, 2, -1, 2, 2, 2, 0, -1);
    expect([...patchShares(map, 4, 2, 3)]).toEqual(
      [
        [0.25, 0.75, 0],
        [0, 0, 0],
        [0, 0, 1],
        [0.5, 0, 0.5],
      ].flat(),
    );
  });

  it("sum to one wherever something is known", () => {
    const map = array(integer({ min: -1, max: 4 }), { minLength: 64, maxLength: 64 });
    assert(
      property(map, (labels) => {
        const shares = patchShares(Int16Array.from(labels), 8, 4, 5);
        for (let patch = 0; patch < 4; patch += 1) {
          const sum = shares.subarray(5 * patch, 5 * patch + 5).reduce((total, s) => total + s, 0);
          const known = labels.some(
            (label, at) =>
              label >= 0 && 2 * Math.floor(at / 32) + Math.floor((at % 8) / 4) === patch,
          );
          expect(sum).toBeCloseTo(known ? 1 : 0, 5);
        }
      }),
    );
  });
});
