import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { beforeEach, describe, expect, test } from "vitest";
import { openSource } from "../../src/data/dataset.js";
import { DataError } from "../../src/core/errors.js";
import { polygonRle } from "../../src/objects/polygon.js";
import { rleToMask } from "../../src/objects/rle.js";
import { scratchFolder } from "../scratch.js";
import { failure } from "../failure.js";

const scratch = scratchFolder();
const fixture = join(import.meta.dirname, "../fixtures/coco-6");

/** Two pictures of 10 × 8 pixels: a polygon in the first, nothing in the second. */
function small() {
  return {
    images: [
      { id: 1, file_name: "a.png", width: 10, height: 8 },
      { id: 2, file_name: "b.png", width: 10, height: 8 },
    ] as Record<string, unknown>[],
    annotations: [
      { id: 7, image_id: 1, category_id: 5, segmentation: [[2, 1, 6, 1, 6, 4, 2, 4]] },
    ] as Record<string, unknown>[],
    categories: [
      { id: 5, name: "cat" },
      { id: 3, name: "dog" },
    ] as Record<string, unknown>[],
  };
}
type Small = ReturnType<typeof small>;

const picture = (id: number, name: string) => ({ id, file_name: name, width: 10, height: 8 });

const crowd = ({ annotations }: Small) => {
  annotations.push({ ...annotations[0], id: 8, iscrowd: 1 });
};

const spec = (crowd?: boolean) => ({
  kind: "coco" as const,
  images: join(scratch(), "images"),
  annotations: join(scratch(), "instances.json"),
  ...(crowd === undefined ? {} : { crowd }),
});

beforeEach(async () => {
  mkdirSync(join(scratch(), "images"));
  for (const name of ["a.png", "b.png"]) {
    await sharp({ create: { width: 10, height: 8, channels: 3, background: "#123456" } })
      .png()
      .toFile(join(scratch(), "images", name));
  }
});

async function opened(change: (file: Small) => void = () => {}, crowd?: boolean) {
  const file = small();
  change(file);
  writeFileSync(spec().annotations, JSON.stringify(file));
  return openSource(spec(crowd));
}

async function refusal(change: (file: Small) => void): Promise<string> {
  return (await failure(opened(change), DataError)).replaceAll(scratch(), "DATA");
}

describe("reading", () => {
  test("labels follow the category ids, images without annotations stay", async () => {
    const source = await opened();
    expect(source.classes).toEqual(["dog", "cat"]);
    expect([source.size, source.key(0), source.key(1)]).toEqual([2, "a.png", "b.png"]);
    const [first, second] = [await source.read(0), await source.read(1)];
    expect(first.objects).toMatchObject([
      { id: 7, label: 1, area: 12, box: { x: 2, y: 1, width: 4, height: 3 } },
    ]);
    expect([...first.rgb.subarray(0, 3)]).toEqual([0x12, 0x34, 0x56]);
    expect(second).toMatchObject({ key: "b.png", width: 10, height: 8, objects: [] });
  });

  test("a box, both kinds of RLE and the polygon of one rectangle give one mask", async () => {
    // Columns 2 to 5, rows 1 to 3 of 8: 17 outside, then 3 inside and 5 outside, ending with 35.
    const counts = [17, 3, 5, 3, 5, 3, 5, 3, 36];
    const source = await opened(({ annotations }) => {
      annotations.push(
        { id: 8, image_id: 1, category_id: 5, segmentation: { size: [8, 10], counts } },
        {
          id: 9,
          image_id: 1,
          category_id: 5,
          segmentation: { size: [8, 10], counts: "a03500000o0" },
        },
        { id: 10, image_id: 1, category_id: 5, bbox: [2, 1, 4, 3] },
        { id: 11, image_id: 1, category_id: 5, bbox: [2, 1, 4, 3], segmentation: [] },
      );
    });
    const { objects } = await source.read(0);
    expect(objects.map((object) => object.id)).toEqual([7, 8, 9, 10, 11]);
    for (const object of objects) expect(object.pixels()).toEqual(objects[0]!.pixels());
  });

  test("crowds are no objects unless asked for", async () => {
    expect((await (await opened(crowd)).read(0)).objects).toHaveLength(1);
    expect((await (await opened(crowd, true)).read(0)).objects).toHaveLength(2);
  });

  test.each([
    ["whole numbers", [2, 1, 6, 1, 6, 4, 2, 4]],
    ["halves of a hundredth do not round", [2.005, 1.115, 6.495, 1.1, 6.1, 4.7]],
    ["two decimals", [0.3, 0.1, 9.7, 0.5, 5.55, 7.99]],
    ["many decimals", [2 / 3, 1.23456789, 6.5, 1.1, 6.1, 4.7]],
  ])("storing loses nothing: %s", async (_, part) => {
    const source = await opened((f) => void (f.annotations[0]!.segmentation = [part]));
    const { objects } = await source.read(0);
    expect(objects[0]!.pixels()).toEqual(rleToMask(polygonRle([part], 10, 8)));
  });

  test("real photographs with real polygons", async () => {
    const source = await openSource({
      kind: "coco",
      images: join(fixture, "images"),
      annotations: join(fixture, "instances.json"),
    });
    expect([source.size, source.classes.length]).toEqual([6, 69]);
    let objects = 0;
    for (let index = 0; index < source.size; index += 1) {
      const sample = await source.read(index);
      expect(sample.rgb).toHaveLength(3 * sample.width * sample.height);
      for (const object of sample.objects) {
        objects += 1;
        const inside = object.pixels().reduce((sum, bit) => sum + bit, 0);
        expect(inside).toBe(object.area);
        expect(source.classes[object.label]).toBeDefined();
      }
    }
    expect(objects).toBe(29);
  });

  test("another thread's copy reads the same without the annotation file", async () => {
    const source = await opened();
    const { spec: shared } = structuredClone({ spec: source.spec });
    writeFileSync(spec().annotations, "gone");
    expect(JSON.stringify(await (await openSource(shared)).read(0))).toBe(
      JSON.stringify(await source.read(0)),
    );
  });
});

describe("a data set with a mistake is refused with a sentence", () => {
  test.each<[string, (file: Small) => void, string]>([
    [
      "no images",
      (f) => void (f.images = []),
      'annotation file DATA/instances.json: "images" is empty; wanted at least one image',
    ],
    [
      "not COCO",
      (f) => void Reflect.deleteProperty(f, "annotations"),
      'annotation file DATA/instances.json is not in COCO\'s instances format: "annotations" is ' +
        'missing; wanted the lists "images", "annotations" and "categories"',
    ],
    [
      "an image without a size",
      (f) => void delete f.images[1]!.height,
      'DATA/instances.json: images[1] (b.png): "width" and "height" are 10 and missing; wanted whole ' +
        "numbers of pixels, 1 or more",
    ],
    [
      "an image id used twice",
      (f) => void (f.images[1]!.id = 1),
      "DATA/instances.json: images[1] (b.png): image id 1 is used twice",
    ],
    [
      "an annotation id used twice",
      (f) => void f.annotations.push({ ...f.annotations[0] }),
      "annotation file DATA/instances.json: annotations[1]: annotation id 7 is used twice",
    ],
    [
      "a category id used twice",
      (f) => void f.categories.push({ id: 3, name: "cow" }),
      "DATA/instances.json: categories[2]: category id 3 is used twice",
    ],
    [
      "an unknown image",
      (f) => void (f.annotations[0]!.image_id = 99),
      'annotation file DATA/instances.json: annotation 7: "image_id" 99 is no image of the file',
    ],
    [
      "an unknown category",
      (f) => void (f.annotations[0]!.category_id = 99),
      'annotation file DATA/instances.json: annotation 7 of image 1 (a.png): "category_id" 99 is no ' +
        "category of the file",
    ],
    [
      "an odd count",
      (f) => void (f.annotations[0]!.segmentation = [[1, 2, 3, 4, 5, 6, 7]]),
      "annotation file DATA/instances.json: annotation 7 of image 1 (a.png): polygon 1 of 1: got 7 " +
        "numbers; wanted an even count (x, y pairs)",
    ],
    [
      "two points",
      (f) => void (f.annotations[0]!.segmentation = [[1, 2, 3, 4]]),
      "annotation file DATA/instances.json: annotation 7 of image 1 (a.png): polygon 1 of 1: got 4 " +
        "numbers; wanted 6 or more (three points)",
    ],
    [
      "a mask outside",
      (f) => void (f.annotations[0]!.segmentation = [[2, 1, 60, 1, 60, 4]]),
      "annotation file DATA/instances.json: annotation 7 of image 1 (a.png): the mask reaches from " +
        "x = 2 to 60; wanted 0 to 10, since the image is 10 × 8 pixels",
    ],
    [
      "a box outside",
      (f) => void (f.annotations[0] = { id: 7, image_id: 1, category_id: 5, bbox: [0, -5, 4, 4] }),
      "annotation file DATA/instances.json: annotation 7 of image 1 (a.png): the mask reaches from " +
        "y = -5 to -1; wanted 0 to 8, since the image is 10 × 8 pixels",
    ],
    [
      "an RLE of another size",
      (f) => void (f.annotations[0]!.segmentation = { size: [10, 8], counts: [80] }),
      "annotation file DATA/instances.json: annotation 7 of image 1 (a.png): RLE size: got [10,8]; " +
        "wanted [8, 10], the image's height and width",
    ],
    [
      "an RLE that is too short",
      (f) => void (f.annotations[0]!.segmentation = { size: [8, 10], counts: [70] }),
      "annotation file DATA/instances.json: annotation 7 of image 1 (a.png): RLE counts: they add up " +
        "to 70 pixels; wanted 80, the image's 10 × 8",
    ],
    [
      "neither mask nor box",
      (f) => void (f.annotations[0]!.segmentation = null),
      'annotation file DATA/instances.json: annotation 7 of image 1 (a.png): neither "segmentation" ' +
        'nor "bbox" is there',
    ],
    [
      "pictures that are missing",
      (f) => void f.images.push(...[3, 4, 5, 6].map((id) => picture(id, `${id}.png`))),
      "4 of 6 images of DATA/instances.json are not in the folder DATA/images: 3.png, 4.png, 5.png, …",
    ],
    [
      "a picture in a folder that is missing",
      (f) => void f.images.push(picture(3, "deep/a.png")),
      "1 of 3 images of DATA/instances.json are not in the folder DATA/images: deep/a.png",
    ],
  ])("%s", async (_, change, message) => {
    expect(await refusal(change)).toBe(message);
  });

  test("many mistakes: three are spelled out", async () => {
    const message = await refusal(({ annotations }) => {
      for (let id = 100; id < 105; id += 1) annotations.push({ id, image_id: 99 });
    });
    expect(message.split("\n")).toHaveLength(4);
    expect(message).toContain("annotation 102");
    expect(message).toMatch(/… and 2 more mistakes$/);
  });

  test.each([
    ["{", "it ends too early, after 1 characters"],
    ['{"images": [\n  {"id": one}]}', 'unexpected "o" at line 2, column 10'],
    ['{"images": []}}', 'unexpected "}" at line 1, column 15'],
    ['{"annotations": [1,]}', 'unexpected "]" at line 1, column 20'],
  ])("no JSON: %s", async (text, place) => {
    writeFileSync(spec().annotations, text);
    await expect(openSource(spec())).rejects.toThrow(
      new DataError(`annotation file ${spec().annotations} is not JSON: ${place}`),
    );
  });

  test("a list instead of an object", async () => {
    writeFileSync(spec().annotations, "[1, 2]");
    await expect(openSource(spec())).rejects.toThrow(
      `annotation file ${spec().annotations} is a list, as detectors' results are; wanted COCO's ` +
        'instances format, an object with the lists "images", "annotations" and "categories"',
    );
  });

  test("no annotation file, no image folder, a file instead of a folder", async () => {
    await expect(openSource(spec())).rejects.toThrow(
      new DataError(
        `annotation file ${spec().annotations} does not exist; pictures alone are read as folder:${spec().images}`,
      ),
    );
    await opened();
    const images = join(scratch(), "elsewhere");
    await expect(openSource({ ...spec(), images })).rejects.toThrow(
      new DataError(`image folder ${images} does not exist`),
    );
    await expect(openSource({ ...spec(), images: spec().annotations })).rejects.toThrow(
      new DataError(`image folder ${spec().annotations} is not a folder`),
    );
  });
});
