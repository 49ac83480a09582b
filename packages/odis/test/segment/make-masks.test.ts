import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSource } from "../../src/data/dataset.js";
import { masksOf, openMasks } from "../../src/data/overlay.js";
import { rleIou } from "../../src/objects/rle.js";
import { rleFromMask } from "../../src/objects/rle.js";
import { cleanDefaults } from "../../src/segment/clean.js";
import { evaluateMasks } from "../../src/segment/evaluate-masks.js";
import { makeMasks, type MakeMasksOptions } from "../../src/segment/make-masks.js";
import { readMaskInfo } from "../../src/segment/mask-file.js";
import { boxesIn, mergeMasks } from "../../src/segment/merge.js";
import { maskConfig } from "../../src/views/config.js";
import { scratchFolder } from "../scratch.js";
import { fixture, recorded } from "./networks.js";

// The built file: the process loads it by its place on the disk.
const child = new URL("../../dist/segment/child.js", import.meta.url);
const photos = {
  kind: "coco",
  images: new URL("../fixtures/coco-6/images", import.meta.url).pathname,
  annotations: new URL("../fixtures/coco-6/instances.json", import.meta.url).pathname,
};
const yolo = { text: fixture("yolo11-seg.onnx"), options: { threads: 1 } };
const scratch = scratchFolder();

async function options(
  changes: Partial<MakeMasksOptions> & Pick<MakeMasksOptions, "out" | "spec">,
): Promise<MakeMasksOptions> {
  return {
    source: await openSource(photos),
    data: "coco:photos",
    clean: cleanDefaults,
    degrade: maskConfig.parse({}),
    jobs: 1,
    patience: 100,
    maxBad: 0.5,
    child,
    ...changes,
  };
}

/** Says to stop after so many pictures. */
const after = (pictures: number) => {
  let seen = 0;
  return { requested: async () => (seen += 1) > pictures };
};

describe("making masks", () => {
  test("writes COCO's format with scores, classes, and where the masks come from", async () => {
    const out = join(scratch(), "deep", "masks.json");
    const made = await makeMasks(await options({ spec: yolo, out }));
    expect(made).toMatchObject({ finished: true, fresh: true, done: 6, of: 6, skipped: 0 });
    expect(made.objects).toBeGreaterThan(20);
    const { images, categories, annotations } = JSON.parse(readFileSync(out, "utf8")) as {
      images: { id: number; file_name: string }[];
      categories: { name: string }[];
      annotations: { image_id: number; score: number; bbox: number[]; area: number }[];
    };
    expect(images).toHaveLength(6);
    expect(categories.map(({ name }) => name)).toEqual(["animal", "vehicle", "furniture"]);
    expect(annotations).toHaveLength(made.objects);
    expect(annotations.every(({ score }) => score > 0.25 && score <= 1)).toBe(true);
    expect(readMaskInfo(out)).toMatchObject({
      makers: [
        { maker: "onnx yolo", files: [{ name: "yolo11-seg.onnx" }], settings: { score: 0.25 } },
      ],
      data: "coco:photos",
      skipped: [],
    });
    expect(existsSync(`${out}.part`)).toBe(false);
    // The masks of a photograph are those of the library, cleaned.
    const masks = await openMasks(out);
    const at = masks.find("000000000143.jpg")!;
    const found = masksOf(masks, at, { width: 600, height: 500 });
    const said = recorded("yolo11-seg").images["000000000143.jpg"]!;
    expect(found.length).toBeLessThanOrEqual(said.scores!.length);
    for (const { score } of found)
      expect(said.scores!.some((known) => Math.abs(known - score!) < 2e-5)).toBe(true);
  });

  test("goes on after an interruption, torn line included, to the same bytes", async () => {
    const whole = join(scratch(), "whole.json");
    await makeMasks(await options({ spec: yolo, out: whole }));
    const out = join(scratch(), "parts.json");
    const first = await makeMasks(await options({ spec: yolo, out, stop: after(2) }));
    expect(first).toMatchObject({ finished: false, done: 2 });
    expect(existsSync(out)).toBe(false);
    appendFileSync(`${out}.part`, '{"image":2,"key":"00000');
    const seen: number[] = [];
    const second = await makeMasks(
      await options({ spec: yolo, out, jobs: 3, onProgress: ({ done }) => seen.push(done) }),
    );
    expect(second).toMatchObject({ finished: true, done: 6 });
    expect(seen).toEqual([3, 4, 5, 6]);
    expect(readFileSync(out, "utf8")).toBe(readFileSync(whole, "utf8"));
    expect(await makeMasks(await options({ spec: yolo, out }))).toMatchObject({ fresh: false });
  });

  test("goes on with what an earlier release began, which named the data by both of its parts", async () => {
    const out = join(scratch(), "masks.json");
    const asNamedThen = (file: string): void => {
      const text = readFileSync(file, "utf8");
      expect(text).toContain('"coco:photos"');
      writeFileSync(
        file,
        text.replace('"coco:photos"', '"coco:photos/images,photos/instances.json"'),
      );
    };
    await makeMasks(await options({ spec: yolo, out, stop: after(2) }));
    asNamedThen(`${out}.part`);
    expect(await makeMasks(await options({ spec: yolo, out }))).toMatchObject({ done: 6 });
    asNamedThen(out);
    expect(await makeMasks(await options({ spec: yolo, out }))).toMatchObject({ fresh: false });
  });

  test("refuses another job's beginnings, another job's file, and a foreign file", async () => {
    const out = join(scratch(), "masks.json");
    await makeMasks(await options({ spec: yolo, out, stop: after(1) }));
    const other = { ...yolo, options: { ...yolo.options, score: 0.5 } };
    await expect(makeMasks(await options({ spec: other, out }))).rejects.toThrow(
      /masks\.json\.part holds the beginnings of other masks \(another maker, data set or setting\)/,
    );
    await makeMasks(await options({ spec: yolo, out }));
    await expect(makeMasks(await options({ spec: other, out }))).rejects.toThrow(
      /--out .*masks\.json: the file is there already, with other masks\. Choose another name/,
    );
    writeFileSync(join(scratch(), "notes.json.part"), "shopping\nlist\n");
    await expect(
      makeMasks(await options({ spec: yolo, out: join(scratch(), "notes.json") })),
    ).rejects.toThrow(/notes\.json\.part, line 1: is no list of masks that odis left here/);
    expect(readFileSync(join(scratch(), "notes.json.part"), "utf8")).toBe("shopping\nlist\n");
  });

  test("names pictures that cannot be read, and gives up when there are too many", async () => {
    const images = join(scratch(), "images");
    mkdirSync(images);
    const source = await openSource(photos);
    for (let at = 0; at < source.size; at += 1)
      copyFileSync(join(photos.images, source.key(at)), join(images, source.key(at)));
    truncateSync(join(images, source.key(1)), 20_000);
    const torn = await openSource({ ...photos, images });
    const out = join(scratch(), "masks.json");
    const spec = { text: "regions", options: {} };
    const made = await makeMasks(await options({ spec, out, source: torn }));
    expect(made).toMatchObject({ finished: true, skipped: 1 });
    expect(made.reasons[0]).toMatch(/^000000000092\.jpg: cannot be decoded/);
    expect(readMaskInfo(out)!.skipped).toHaveLength(1);
    truncateSync(join(images, source.key(2)), 20_000);
    await expect(
      makeMasks(await options({ spec, out: join(scratch(), "b.json"), source: torn, maxBad: 0.1 })),
    ).rejects.toThrow(
      /^2 of 3 images could not be used \(at most 0 of 6 may; --max-bad\)\. The first: /,
    );
  });

  test("of annotations: boxes that overlap as much as wanted, objects missing, false ones", async () => {
    const out = join(scratch(), "masks.json");
    const spec = { text: "annotations", options: {} };
    const degrade = maskConfig.parse({ kind: "box", iou: 0.7, false: 2, seed: 3 });
    await makeMasks(await options({ spec, out, degrade, clean: { ...cleanDefaults, minArea: 0 } }));
    const masks = await openMasks(out);
    expect(masks.index.classes.at(-1)).toBe("object"); // false ones have no class
    const source = await openSource(photos);
    const found: number[] = [];
    for (let image = 0; image < source.size; image += 1) {
      const sample = await source.read(image);
      const objects = masksOf(masks, masks.find(sample.key)!, sample);
      found.push(objects.filter(({ label }) => label === source.classes.length).length);
    }
    expect(found.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    const { figures } = await evaluateMasks(out, source);
    expect(figures.boxRecall.value).toBeGreaterThan(0.8);
    expect(figures.recall.value).toBeLessThan(1);
  });

  test("of a data set's own objects agree with them wholly", async () => {
    const out = join(scratch(), "masks.json");
    const spec = { text: "annotations", options: {} };
    const clean = { ...cleanDefaults, minArea: 0, maxArea: 1, duplicates: 1 };
    await makeMasks(await options({ spec, out, clean }));
    const { figures, images, annotated, found } = await evaluateMasks(
      out,
      await openSource(photos),
    );
    expect([images, annotated, found]).toEqual([6, 29, 29]);
    for (const { value } of Object.values(figures)) expect(value).toBe(1);
  });

  test("draws in the boxes of another file", async () => {
    const boxes = join(scratch(), "boxes.json");
    const own = { text: "annotations", options: {} };
    const degrade = maskConfig.parse({ kind: "box" });
    await makeMasks(await options({ spec: own, out: boxes, degrade }));
    const out = join(scratch(), "masks.json");
    const spec = {
      text: `${fixture("sam-encoder.onnx")},${fixture("sam-decoder.onnx")}`,
      options: { threads: 1 },
    };
    const prompts = await boxesIn(boxes);
    const clean = { ...cleanDefaults, minArea: 0, maxArea: 1, duplicates: 1 };
    const made = await makeMasks(await options({ spec, out, prompts, promptsFrom: boxes, clean }));
    expect(made.objects).toBeGreaterThan(0);
    expect(readMaskInfo(out)!.settings).toMatchObject({ boxes });
  });
});

describe("merging masks", () => {
  test("keeps the surest of masks that overlap, unites classes, and says where all come from", async () => {
    const files = ["mavl-objects", "mavl-small"].map((name) => join(scratch(), `${name}.json`));
    for (const [index, name] of ["mavl-objects", "mavl-small"].entries()) {
      const spec = { text: fixture(`${name}.onnx`), options: { size: 128, threads: 1 } };
      await makeMasks(await options({ spec, out: files[index]! }));
    }
    const out = join(scratch(), "both.json");
    const clean = { ...cleanDefaults, duplicates: 0.5 };
    const merged = await mergeMasks({ files, out, clean });
    expect(merged.images).toBe(6);
    expect(merged.objects).toBeLessThanOrEqual(merged.before);
    expect(readMaskInfo(out)!.makers.map(({ maker }) => maker)).toEqual(["onnx mavl", "onnx mavl"]);
    const [both, one, other] = await Promise.all([out, ...files].map((file) => openMasks(file)));
    let kept = 0;
    for (const [key, at] of both!.keys) {
      const frame = { width: both!.index.widths[at]!, height: both!.index.heights[at]! };
      const runs = (set: typeof both, image: number) =>
        masksOf(set!, image, frame).map((object) => ({
          score: object.score!,
          mask: rleFromMask(object.pixels(), frame.width, frame.height),
        }));
      const result = runs(both, at);
      const all = [...runs(one, one!.find(key)!), ...runs(other, other!.find(key)!)];
      for (const [index, { mask }] of result.entries())
        for (const { mask: better } of result.slice(0, index))
          expect(rleIou(mask, better)).toBeLessThanOrEqual(0.5);
      // Whatever was dropped overlaps with something surer that stayed.
      for (const { mask, score } of all)
        expect(
          result.some((stayed) => stayed.score >= score && rleIou(stayed.mask, mask) > 0.5),
        ).toBe(true);
      kept += result.length;
    }
    expect(kept).toBe(merged.objects);
  });
});
