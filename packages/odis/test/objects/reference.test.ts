import { describe, expect, test } from "vitest";
import { countPatches } from "@odis/torch/images";
import { visiblePatches } from "../../src/portable/index.js";
import { parsePolygons, polygonRle } from "../../src/objects/polygon.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import { formatCounts, parseRle, rleFromMask } from "../../src/objects/rle.js";
import { golden } from "../golden.js";

interface Annotation {
  readonly width: number;
  readonly height: number;
  readonly segmentation: unknown;
  readonly area: number;
  readonly bbox_xywh: readonly number[];
  readonly rle_counts: string;
  readonly uncompressed_counts: readonly number[];
}

const reference = golden<{ annotations: Record<string, Annotation> }>("objects");
const { annotations } = reference.info;

describe("masks are those of pycocotools", () => {
  test.each(Object.entries(annotations))("%s", (name, wanted) => {
    const { width, height, segmentation } = wanted;
    const rle = Array.isArray(segmentation)
      ? polygonRle(parsePolygons(segmentation), width, height)
      : parseRle(segmentation, width, height);
    const object = objectFromRuns(rle, { id: 7, label: 3 });
    const mask = reference.uint8(`ann/${name.replace("rlestr_", "rle_")}/mask`);
    expect(object.pixels()).toEqual(mask);
    expect(object.area).toBe(wanted.area);
    const { x, y, width: w, height: h } = object.box;
    expect([x, y, w, h]).toEqual(wanted.bbox_xywh);
    expect(Array.from(rleFromMask(mask, width, height).counts)).toEqual(wanted.uncompressed_counts);
    expect(Array.from(rle.counts)).toEqual(wanted.uncompressed_counts);
    expect(formatCounts(rle.counts)).toBe(wanted.rle_counts);
  });
});

describe("patches are those of the published loader", () => {
  const names = reference.names("patch/").filter((name) => name.endsWith("/mask"));
  test.each(names.map((name) => name.slice(0, -"/mask".length)))("%s", (name) => {
    const runs = rleFromMask(reference.uint8(`${name}/mask`), 224, 224);
    const box = { x: 0, y: 0, width: 224, height: 224 };
    const counts = new Int32Array(14 * 14);
    countPatches(runs, { box, flip: false }, 224, 16, counts);
    const visible = new Uint8Array(14 * 14);
    const rule = { rule: "any", coverage: 1, margin: 0 } as const;
    expect(visiblePatches(counts, 14, 14, 16, rule, visible)).toBe(
      reference.uint8(`${name}/any`).reduce((sum, bit) => sum + bit, 0),
    );
    expect(visible).toEqual(reference.uint8(`${name}/any`));
    visiblePatches(counts, 14, 14, 16, { ...rule, rule: "boxes" }, visible);
    expect(visible).toEqual(reference.uint8(`${name}/boxes`));

    const coverage = reference.floats(`${name}/coverage`);
    expect(Array.from(counts, (count) => count / 256)).toEqual(Array.from(coverage));
    visiblePatches(counts, 14, 14, 16, { ...rule, rule: "coverage", coverage: 0.3 }, visible);
    expect(Array.from(visible)).toEqual(Array.from(coverage, (share) => (share >= 0.3 ? 1 : 0)));
  });
});
