import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dataText, openSource, parseDataSpec } from "../../src/data/dataset.js";
import { openMasks } from "../../src/data/overlay.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const images = new URL("../fixtures/coco-6/images", import.meta.url).pathname;
const annotations = new URL("../fixtures/coco-6/instances.json", import.meta.url).pathname;
const photos = { kind: "coco", images, annotations };

/** A file of masks: boxes of two pictures, one with a score. */
function write(changes: object = {}): string {
  const path = join(scratch(), "masks.json");
  const masks = {
    images: [
      { id: 1, file_name: "000000000143.jpg", width: 600, height: 500 },
      { id: 2, file_name: "000000000030.jpg", width: 640, height: 428 },
      { id: 3, file_name: "elsewhere.jpg", width: 10, height: 10 },
    ],
    categories: [{ id: 1, name: "thing" }],
    annotations: [
      { id: 1, image_id: 1, category_id: 1, bbox: [10, 20, 30, 40], iscrowd: 0, score: 0.25 },
      { id: 2, image_id: 1, category_id: 1, bbox: [100, 20, 30, 40], iscrowd: 0, score: 0.75 },
      { id: 3, image_id: 2, category_id: 1, bbox: [0, 0, 5, 5], iscrowd: 0, score: 1 },
    ],
    ...changes,
  };
  writeFileSync(path, JSON.stringify(masks));
  return path;
}

describe("masks over a data set", () => {
  test("take the place of its objects, with their scores, by the pictures' names", async () => {
    const masks = write();
    const source = await openSource({ ...photos, masks });
    expect(source.size).toBe(6);
    expect(source.classes).toEqual(["thing"]);
    expect(source.summary).toMatch(/; objects are the 3 of masks\.json$/);
    expect(source.notes.at(-1)).toMatch(
      /^4 of 6 pictures are not in .*masks\.json: they have no object$/,
    );
    const byKey = new Map<string, number>();
    for (let at = 0; at < source.size; at += 1) byKey.set(source.key(at), at);
    const { objects, rgb } = await source.read(byKey.get("000000000143.jpg")!);
    expect(objects.map(({ box, score }) => [box, score])).toEqual([
      [{ x: 10, y: 20, width: 30, height: 40 }, 0.25],
      [{ x: 100, y: 20, width: 30, height: 40 }, 0.75],
    ]);
    expect((await source.read(byKey.get("000000000092.jpg")!)).objects).toEqual([]);
    const plain = await openSource(photos);
    expect(rgb).toEqual((await plain.read(byKey.get("000000000143.jpg")!)).rgb);
    expect(source.listed!(byKey.get("000000000143.jpg")!)).toHaveLength(2);
  });

  test("are there in another thread, without the file", async () => {
    const masks = write();
    const source = await openSource({ ...photos, masks });
    writeFileSync(masks, "gone");
    const again = await openSource(structuredClone(source.spec));
    const sample = await again.read(0);
    expect(sample.objects).toEqual(
      (await source.read(0)).objects.map((object) =>
        expect.objectContaining({ area: object.area }),
      ),
    );
  });

  test("are named behind the place, and survive being written", () => {
    const masks = write();
    const spec = parseDataSpec(`coco:${images},${annotations}#masks=${masks},limit=3`);
    expect(spec).toMatchObject({ kind: "coco", masks, limit: 3 });
    expect(parseDataSpec(dataText(spec))).toEqual(spec);
  });

  test("of other pictures are refused, with names of both", async () => {
    const masks = write({
      images: [{ id: 1, file_name: "a.jpg", width: 5, height: 5 }],
      annotations: [],
    });
    await expect(openSource({ ...photos, masks })).rejects.toThrow(
      /^masks .*masks\.json: knows none of the 6 pictures; it names a\.jpg, …, the data set 000000000030\.jpg, 000000000092\.jpg, …$/,
    );
  });

  test("of another size make a picture unusable", async () => {
    const masks = write({
      images: [
        { id: 1, file_name: "000000000143.jpg", width: 300, height: 250 },
        { id: 2, file_name: "000000000030.jpg", width: 640, height: 428 },
      ],
    });
    const source = await openSource({ ...photos, masks });
    const at = [0, 1, 2, 3, 4, 5].find((index) => source.key(index) === "000000000143.jpg")!;
    await expect(source.read(at)).rejects.toThrow(
      /^image 000000000143\.jpg: its masks are for 300 × 250 pixels, the picture has 600 × 500$/,
    );
  });

  test.each([
    [
      "a score that is none",
      { annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 5, 5], score: "high" }] },
      /annotation 1 of image 1 \(000000000143\.jpg\): "score" is "high"; wanted a number from 0 to 1/,
    ],
    [
      "a score above 1",
      { annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 5, 5], score: 1.5 }] },
      /"score" is 1\.5; wanted a number from 0 to 1/,
    ],
    ["no images", { images: [] }, /"images" is empty; wanted at least one image/],
  ])("with %s are refused", async (_what, changes, message) => {
    await expect(openMasks(write(changes))).rejects.toThrow(message);
  });

  test("COCO's own annotations are masks, too", async () => {
    const masks = await openMasks(annotations);
    expect(masks.index.size).toBe(6);
    expect(masks.find("000000000143.jpg")).toBeDefined();
    expect(masks.find("nowhere.jpg")).toBeUndefined();
    expect(JSON.parse(readFileSync(annotations, "utf8")).annotations).toHaveLength(
      masks.index.ids.length,
    );
  });
});
