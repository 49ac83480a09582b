import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSource, parseDataSpec } from "../../../src/data/dataset.js";
import { DataError } from "../../../src/core/errors.js";
import { failure } from "../../failure.js";
import { scratchFolder } from "../../scratch.js";
import { formats, found, wanted } from "../formats.js";

const scratch = scratchFolder();
const folder = join(formats, "voc");
/** The third picture has no masks. */
const masks = (picture: string) => (picture === "000000000143.jpg" ? "box" : "outline");

describe("Pascal VOC", () => {
  test("masks where there are some, boxes elsewhere", async () => {
    expect(parseDataSpec(folder)).toEqual({ kind: "voc", place: folder });
    expect(await found({ kind: "voc", place: folder })).toEqual(wanted(masks));
    const { summary, notes } = await openSource({ kind: "voc", place: folder });
    expect([summary, notes]).toEqual(["voc: 3 images, 7 objects, 3 classes", []]);
  });

  test.each([
    ["Segmentation/train", ["000000000030.jpg", "000000000092.jpg"]],
    ["train", ["000000000030.jpg", "000000000092.jpg"]],
    ["cat_train", ["000000000030.jpg", "000000000092.jpg"]],
    ["trainval", ["000000000030.jpg", "000000000092.jpg", "000000000143.jpg"]],
  ])("the images of the list %s", async (set, pictures) => {
    expect(await found(parseDataSpec(`voc:${folder}#set=${set}`))).toEqual(wanted(masks, pictures));
  });

  test("objects that the mask numbers otherwise are told by their boxes", async () => {
    cpSync(folder, scratch(), { recursive: true });
    const path = join(scratch(), "Annotations/000000000030.xml");
    const objects = readFileSync(path, "utf8").split(/(?=<object>)|(?=<\/annotation>)/);
    const [head, first, second, third, tail] = objects;
    writeFileSync(path, [head, second, third, first, tail].join(""));
    const [, ...rest] = wanted(masks)["000000000030.jpg"]!;
    expect((await found({ kind: "voc", place: scratch() }))["000000000030.jpg"]).toEqual([
      ...rest,
      wanted(masks)["000000000030.jpg"]![0],
    ]);
  });

  test("pictures and XML files in one folder, pictures without one", async () => {
    cpSync(join(folder, "JPEGImages"), scratch(), { recursive: true });
    cpSync(join(folder, "Annotations"), scratch(), { recursive: true });
    rmSync(join(scratch(), "000000000092.xml"));
    expect(parseDataSpec(scratch())).toEqual({ kind: "voc", place: scratch() });
    expect(await found({ kind: "voc", place: scratch() })).toEqual({
      ...wanted(() => "box"),
      "000000000092.jpg": [],
    });
  });
});

describe("VOC data with a mistake is refused with a sentence", () => {
  const changed = async (from: string | RegExp, to: string, set = "") => {
    cpSync(folder, scratch(), { recursive: true });
    const path = join(scratch(), "Annotations/000000000092.xml");
    writeFileSync(path, readFileSync(path, "utf8").replace(from, to));
    const spec = parseDataSpec(`voc:${scratch()}${set}`);
    return (await failure(openSource(spec), DataError)).replaceAll(scratch(), "DATA");
  };
  test.each([
    [
      /<name>bird<\/name>/,
      "",
      "VOC data DATA: object 1 of JPEGImages/000000000092.jpg: it has no <name>",
    ],
    [
      /<bndbox>[^]*?<\/bndbox>/,
      "",
      "VOC data DATA: object 1 of JPEGImages/000000000092.jpg: it has no <bndbox>",
    ],
    [
      /<xmin>\d+/,
      "<xmin>wide",
      'VOC data DATA: object 1 of JPEGImages/000000000092.jpg: <xmin> is "wide"; wanted a number',
    ],
    [
      /<xmin>\d+/,
      "<xmin>1000",
      "VOC data DATA: object 1 of JPEGImages/000000000092.jpg: its box reaches from 1000, 6 to 40, 25",
    ],
    [
      /<width>48/,
      "<width>-1",
      "VOC data DATA: JPEGImages/000000000092.jpg: <size> is -1 × 32; wanted whole numbers of pixels",
    ],
    [
      /<annotation>[^]*/,
      "<a/>",
      "VOC data DATA: JPEGImages/000000000092.jpg: its XML file has no <annotation>",
    ],
    [
      "</annotation>",
      "",
      /^annotation file DATA\/Annotations\/000000000092\.xml is not XML: .* at line \d+, column \d+$/,
    ],
  ])("%s", async (from, to, message) => {
    const found = await changed(from, to);
    if (typeof message === "string") expect(found).toBe(message);
    else expect(found).toMatch(message);
  });

  test("a list that is missing, and one that names pictures that are", async () => {
    expect(await changed("", "", "#set=test")).toBe(
      "VOC data DATA: there is no list ImageSets/Main/test.txt",
    );
    writeFileSync(join(scratch(), "ImageSets/Main/trainval.txt"), "2007_000032\n2007_000033\n");
    const spec = parseDataSpec(`voc:${scratch()}#set=trainval`);
    expect(await failure(openSource(spec), DataError)).toBe(
      `VOC data ${scratch()}: there is no picture of the name 2007_000032\n` +
        "  there is no picture of the name 2007_000033",
    );
  });

  test("a mask of another size skips its picture by name", async () => {
    cpSync(folder, scratch(), { recursive: true });
    cpSync(
      join(formats, "../pictures/map-palette.png"),
      join(scratch(), "SegmentationObject/000000000092.png"),
    );
    const source = await openSource({ kind: "voc", place: scratch() });
    await expect(source.read(1)).rejects.toThrow(
      "image JPEGImages/000000000092.jpg: its label map SegmentationObject/000000000092.png is 13 × 9 " +
        "pixels; wanted 48 × 32, as the picture",
    );
  });

  test("an empty folder", async () => {
    mkdirSync(join(scratch(), "Annotations"));
    expect(await failure(openSource({ kind: "voc", place: scratch() }), DataError)).toBe(
      `VOC data ${scratch()}: there is no picture`,
    );
  });
});
