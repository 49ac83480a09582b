import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type DataSpec, openSource, parseDataSpec } from "../../../src/data/dataset.js";
import { ConfigError } from "../../../src/core/errors.js";
import { formats, found, wanted } from "../formats.js";

const place = (name: string) => join(formats, name);
const [first, second, third] = ["000000000030.jpg", "000000000092.jpg", "000000000143.jpg"];
const outline = () => "outline" as const;
const box = () => "box" as const;
const only =
  (...outlines: string[]) =>
  (picture: string) =>
    outlines.includes(picture) ? ("outline" as const) : ("box" as const);
const pair = (name: string, annotations: string, images = "images") => ({
  images: join(place(name), images),
  annotations: join(place(name), annotations),
});

interface Format {
  readonly folder: string;
  readonly spec: DataSpec;
  readonly mask: (picture: string) => "outline" | "box";
  readonly summary: string;
  readonly notes?: readonly string[];
  readonly pictures?: string[];
}

const all: readonly Format[] = [
  {
    folder: "coco-instances",
    spec: { kind: "coco", ...pair("coco-instances", "instances.json") },
    mask: outline,
    summary: "coco: 3 images, 7 objects, 3 classes",
  },
  {
    folder: "coco-panoptic",
    spec: { kind: "panoptic", ...pair("coco-panoptic", "panoptic.json") },
    mask: outline,
    summary: "panoptic: 3 images, 7 objects, 3 classes",
    notes: ["left out: 3 segments of stuff (#stuff takes them)"],
  },
  {
    folder: "lvis",
    spec: { kind: "lvis", ...pair("lvis", "lvis.json") },
    mask: outline,
    summary: "lvis: 3 images, 7 objects, 3 classes",
  },
  {
    folder: "voc",
    spec: { kind: "voc", place: place("voc") },
    mask: only(first, second),
    summary: "voc: 3 images, 7 objects, 3 classes",
  },
  {
    folder: "yolo",
    spec: { kind: "yolo", place: place("yolo") },
    mask: only(first),
    summary: "yolo: 2 images, 4 objects, 4 classes",
    pictures: [first, second],
  },
  {
    folder: "open-images",
    spec: { kind: "open-images", place: place("open-images") },
    mask: only(first),
    summary: "open-images: 3 images, 7 objects, 3 classes",
    notes: [
      "left out: 1 group (IsGroupOf; #crowd takes it), 1 object of a picture that is not there",
    ],
  },
  {
    folder: "labelme",
    spec: { kind: "labelme", place: place("labelme") },
    mask: outline,
    summary: "labelme: 3 images, 7 objects, 3 classes",
    notes: ["left out: 3 points and lines"],
  },
  {
    folder: "cvat",
    spec: { kind: "cvat", ...pair("cvat", "annotations.xml") },
    mask: outline,
    summary: "cvat: 3 images, 7 objects, 3 classes",
    notes: ["left out: 3 tag shapes"],
  },
  {
    folder: "metadata",
    spec: { kind: "metadata", place: place("metadata") },
    mask: box,
    summary: "metadata: 3 images, 7 objects, 3 classes",
  },
];

describe("every format holds the same objects", () => {
  test.each(all)("$folder", async ({ folder, spec, mask, summary, notes = [], pictures }) => {
    expect(parseDataSpec(place(folder))).toEqual(spec); // found out by looking
    expect(await found(spec)).toEqual(wanted(mask, pictures));
    const source = await openSource(spec);
    expect([source.summary, source.notes]).toEqual([summary, notes]);
    // Another thread gets the same.
    const again = await openSource(structuredClone(source.spec));
    expect((await again.read(0)).objects.map(({ area }) => area)).toEqual(
      (await source.read(0)).objects.map(({ area }) => area),
    );
  });

  test("the other sets", async () => {
    const spec = parseDataSpec(`yolo:${place("yolo/data.yaml")}#set=val`);
    expect(await found(spec)).toEqual(wanted(outline, [third]));
  });

  test("a detector's results: scores, and categories by number", async () => {
    const spec = parseDataSpec(place("coco-results"));
    expect(spec).toEqual({ kind: "results", ...pair("coco-results", "results.json") });
    const named = (results: Record<string, [string, string][]>) =>
      Object.fromEntries(
        Object.entries(results).map(([picture, objects]) => [
          picture,
          objects.map(([name, mask]) => [["bird", "cat", "dog"][Number(name.at(-1)) - 1]!, mask]),
        ]),
      );
    expect(named(await found(spec))).toEqual(wanted(only(first)));
    const source = await openSource(spec);
    expect(source.notes).toEqual([
      "left out: 1 object of a picture that is not there",
      "scores from 0.75 to 0.95; #score=0.5 would leave out what the detector was less sure of",
    ]);
    expect((await source.read(0)).objects.map(({ score }) => Math.fround(score!))).toEqual(
      [0.95, 0.85, 0.75].map(Math.fround),
    );
    const sure = await openSource({ ...spec, score: 0.8 });
    expect((await sure.read(0)).objects).toHaveLength(2);
    expect(sure.notes[0]).toBe(
      "left out: 2 objects with a score below 0.8, 1 object of a picture that is not there",
    );
  });

  test("stuff, if it is asked for", async () => {
    const spec = { kind: "panoptic", ...pair("coco-panoptic", "panoptic.json"), stuff: true };
    const source = await openSource(spec);
    expect(source.summary).toBe("panoptic: 3 images, 10 objects, 4 classes");
    expect(source.classes).toEqual(["bird", "cat", "dog", "sky-other"]);
    const { objects } = await source.read(0);
    expect(objects.map(({ label, id }) => [label, id]).at(0)).toEqual([3, 9]);
  });
});

describe("label maps", () => {
  test("what their numbers are is asked, not guessed", async () => {
    const spec = parseDataSpec(place("object-maps"));
    await expect(openSource(spec)).rejects.toThrow(
      new ConfigError(
        `data maps:${place("object-maps/images")},${place("object-maps/masks")}: say what the numbers in the ` +
          "label maps are, objects of their picture or classes:\n" +
          ["objects", "classes"]
            .map(
              (values) =>
                `  'maps:${place("object-maps/images")},${place("object-maps/masks")}#values=${values}'`,
            )
            .join("\n"),
      ),
    );
  });

  test("objects, in 16 bits", async () => {
    const objects = await found(parseDataSpec(`maps:${place("object-maps")}#values=objects`));
    const masks = Object.entries(wanted(outline)).map(([picture, list]) => [
      picture,
      list.map(([, mask]) => ["-", mask]),
    ]);
    expect(objects).toEqual(Object.fromEntries(masks));
  });

  test("classes, in a palette", async () => {
    const spec = parseDataSpec(`maps:${place("class-maps")}#values=classes`);
    const objects = await found(spec);
    expect(objects[second]).toEqual(wanted(outline)[second]);
    expect(objects[first]!.map(([name]) => name)).toEqual(["cat", "dog"]); // two dogs are one region
    expect(objects[third]!.map(([name]) => name)).toEqual(["bird", "cat"]);
    expect((await openSource(spec)).classes[0]).toBe("background");
  });

  test("ImageNet-S", async () => {
    const spec = parseDataSpec(place("imagenet-s"));
    expect(spec).toEqual({ kind: "imagenet-s", place: place("imagenet-s") });
    const source = await openSource(spec);
    expect(source.classes).toEqual(["n01503061", "n02084071", "n02121620"]);
    const objects = await found(spec);
    expect(Object.keys(objects)).toEqual([
      "000000000092.JPEG",
      "000000000030.JPEG",
      "000000000143.JPEG",
    ]);
    expect(objects["000000000092.JPEG"]).toEqual([["n01503061", wanted(outline)[second]![0]![1]]]);
    expect(objects["000000000030.JPEG"]!.map(([name]) => name)).toEqual(["n02084071"]);
  });
});

describe("pictures in folders", () => {
  test("ImageNet: boxes, and pictures without any as a whole", async () => {
    const spec = parseDataSpec(place("imagenet"));
    expect(spec).toEqual({ kind: "imagenet", place: place("imagenet") });
    const source = await openSource(spec);
    expect([source.summary, source.notes]).toEqual([
      "imagenet: 3 images, 5 objects, 3 classes",
      ["1 image has no boxes: each is one object as a whole"],
    ]);
    const objects = await found(spec);
    expect(objects["n02084071_30.JPEG"]).toEqual(
      wanted(box)[first]!.map(([, mask]) => ["n02084071", mask]),
    );
    expect(objects["n01503061_92.JPEG"]).toEqual([["n01503061", wanted(box)[second]![0]![1]]]);
    const whole = (await source.read(2)).objects;
    expect([source.key(2), whole.length, whole[0]!.area]).toEqual([
      "Data/CLS-LOC/train/n02121620/n02121620_143.JPEG",
      1,
      48 * 32,
    ]);
  });

  test("a folder; folders that may be classes", async () => {
    const spec = parseDataSpec(place("lvis/images"));
    expect(spec).toEqual({ kind: "folder", place: place("lvis/images") });
    const source = await openSource(spec);
    expect([source.summary, source.notes]).toEqual([
      "folder: 3 images, no objects",
      [
        "none of the 3 images has an object",
        "pictures lie in 2 folders; if these are classes, say classes:PLACE to have labels",
      ],
    ]);
    expect((await source.read(2)).objects).toEqual([]);
    const labelled = await openSource(parseDataSpec(`classes:${place("lvis/images")}`));
    expect(labelled.classes).toEqual(["train2017", "val2017"]);
    expect((await labelled.read(2)).objects).toMatchObject([{ label: 1, area: 48 * 32 }]);
  });
});
