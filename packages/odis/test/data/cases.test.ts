import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { type DataSpec, openSource } from "../../src/data/dataset.js";
import { checkObjects, surveyObjects } from "../../src/data/survey.js";
import { pictureGroups } from "../../src/data/picture.js";
import { BadImageError, DataError } from "../../src/core/errors.js";
import { failure } from "../failure.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const cases = join(import.meta.dirname, "../fixtures/cases");

const spec = (name: string, annotations = "instances.json", more = {}): DataSpec => ({
  kind: "coco",
  images: join(cases, name, "data/images"),
  annotations: join(cases, name, "data", annotations),
  ...more,
});

describe("iscrowd: whatever is not known to mean no is not taken for it", () => {
  const objects = async (file: string, more = {}) => {
    const source = await openSource(spec("crowd-boolean", `${file}.json`, more));
    return [surveyObjects(source, 0)?.objects, source.notes];
  };
  test.each(["true", "one", "float"])("%s means yes", async (file) => {
    expect(await objects(file)).toEqual([4, ["left out: 4 crowd regions (iscrowd)"]]);
    expect(await objects(file, { crowd: true })).toEqual([8, []]);
  });

  test.each(["zero", "false", "instances"])("%s means no", async (file) => {
    expect(await objects(file)).toEqual([8, []]);
  });

  test.each([
    ["text", '"1"'],
    ["list", "[1]"],
    ["null", "null"],
  ])("%s is refused by name", async (file, value) => {
    const message = await failure(objects(file), DataError);
    expect(message).toContain(`"iscrowd" is ${value}; wanted 0 or 1`);
    expect(message).toMatch(/^annotation file .*: annotation 1 of image 1 \(000\.png\): /);
  });
});

test("nothing but crowds: what was left out is told, and that nothing is left", async () => {
  const source = await openSource(spec("all-crowd"));
  expect(source.summary).toBe("coco: 8 images, no objects, 2 classes");
  expect(source.notes).toEqual([
    "left out: 8 crowd regions (iscrowd)",
    "none of the 8 images has an object",
  ]);
  expect(() => checkObjects(source, 0)).toThrow(
    new DataError(
      "none of 8 images has an object to learn from: left out: 8 crowd regions (iscrowd). Give data with " +
        "objects, let each picture without one be one as a whole (PLACE#whole), or train without them: --recipe ibot",
    ),
  );
});

test("nothing but small objects, or mostly: told before training", async () => {
  const source = await openSource(spec("crowd-boolean"));
  expect(checkObjects(source, 0.05)).toEqual([]);
  expect(() => checkObjects(source, 0.9)).toThrow(
    new DataError(
      "none of 8 images has an object to learn from: 8 of 8 objects cover less than 90 % of their image " +
        "(views.object.minArea). Give data with objects, let each picture without one be one as a whole " +
        "(PLACE#whole), or train without them: --recipe ibot",
    ),
  );
  const half = await openSource(spec("crowd-boolean", "one.json"));
  expect(checkObjects(half, 0.05)).toEqual([]);
  const few = await small(({ images }) => {
    images.push({ ...images[0], id: 2 }, { ...images[0], id: 3 });
  });
  expect(checkObjects(await openSource(few), 0.1)).toEqual([
    "only 1 of 3 images have an object to learn from: the others' views are about nothing",
  ]);
});

test("areas of outlines that are listed are those that are drawn, nearly", async () => {
  const coco6 = join(cases, "../coco-6");
  const source = await openSource({
    kind: "coco",
    images: join(coco6, "images"),
    annotations: join(coco6, "instances.json"),
  });
  const errors: number[] = [];
  for (let image = 0; image < source.size; image += 1) {
    const { objects, width, height } = await source.read(image);
    const listed = source.listed!(image);
    expect(listed.map(({ label }) => label)).toEqual(objects.map(({ label }) => label));
    for (const [at, { share }] of listed.entries())
      errors.push(Math.abs((share! * width * height) / objects[at]!.area - 1));
  }
  // Outlines that cross themselves are far off; most do not.
  expect(errors.toSorted((a, b) => a - b)[Math.floor(errors.length / 2)]).toBeLessThan(0.05);
});

describe("one picture twice", () => {
  test("under two ids is told, and both are one picture", async () => {
    const source = await openSource(spec("file-twice"));
    expect(source.notes).toEqual([
      "60 pictures stand in the list more than once (000.png, 001.png, 002.png, …)",
    ]);
    const groups = await pictureGroups(source);
    expect([...groups]).toEqual(Array.from({ length: 120 }, (_, at) => Math.floor(at / 2)));
    expect((await openSource(spec("file-twice", "once.json"))).notes).toEqual([]);
  });

  test("in two files of the same bytes is one picture, too", async () => {
    cpSync(join(cases, "file-twice/data"), scratch(), { recursive: true });
    cpSync(join(scratch(), "images/000.png"), join(scratch(), "images/059.png"));
    const annotations = join(scratch(), "once.json");
    const source = await openSource({
      kind: "coco",
      images: join(scratch(), "images"),
      annotations,
    });
    const groups = await pictureGroups(source, [0, 1, 59]);
    expect([...groups]).toEqual([0, 1, 0]);
  });

  test("stays on one side of a split", async () => {
    const keys = async (take: readonly number[]) => {
      const source = await openSource(spec("file-twice", "instances.json", { take }));
      return Array.from({ length: source.size }, (_, image) => source.key(image));
    };
    const [most, rest] = [await keys([0, 0.8]), await keys([0.8, 1])];
    expect([most.length, rest.length]).toEqual([96, 24]);
    expect(most.filter((key) => rest.includes(key))).toEqual([]);
    expect([...most, ...rest].toSorted()).toHaveLength(120);
  });
});

describe("photographs that EXIF turns", () => {
  /** A dark square of 10 × 10 at (3, 2) is annotated in each; the rest is noise. */
  const shades = async (data: DataSpec) => {
    const source = await openSource(data);
    const found: Record<string, boolean> = {};
    for (let image = 0; image < source.size; image += 1) {
      const { key, rgb, width, objects } = await source.read(image);
      const mask = objects[0]!.pixels();
      const [inside, outside] = [true, false].map((wanted) => {
        const values = [...mask.keys()].filter((at) => Boolean(mask[at]) === wanted);
        return values.reduce((sum, at) => sum + rgb[3 * at + 1]!, 0) / values.length;
      });
      expect(width).toBeGreaterThan(0);
      found[key] = Math.abs(inside! - outside!) > 20;
    }
    return found;
  };

  test("one rule for the data set: quarter turns show how half turns are meant", async () => {
    expect(await shades(spec("exif-half-turn"))).toEqual({
      "o1.png": true,
      "o6.png": true,
      "o3.png": true,
      "o2.png": true,
      "o8.png": true,
    });
  });

  test("a setting decides by hand", async () => {
    const source = await openSource(spec("exif-half-turn", "instances.json", { exif: "stored" }));
    const turned = await openSource(spec("exif-half-turn"));
    expect((await source.read(2)).rgb).not.toEqual((await turned.read(2)).rgb);
    expect(await failure(source.read(1), BadImageError)).toContain(
      "60 × 40 pixels; wanted 40 × 60",
    );
  });

  test("without quarter turns they stay as stored, as pycocotools has them", async () => {
    cpSync(join(cases, "exif-half-turn/data"), scratch(), { recursive: true });
    const path = join(scratch(), "instances.json");
    const file: Record<"images" | "annotations", Record<string, unknown>[]> = JSON.parse(
      readFileSync(path, "utf8"),
    );
    const kept = new Set([0, 2]);
    file.images = file.images.filter(({ id }) => kept.has(id as number));
    file.annotations = file.annotations.filter(({ image_id: id }) => kept.has(id as number));
    writeFileSync(path, JSON.stringify(file));
    const source = await openSource({
      kind: "coco",
      images: join(scratch(), "images"),
      annotations: path,
    });
    const { data } = await sharp(join(scratch(), "images/o3.png"))
      .raw()
      .toBuffer({ resolveWithObject: true });
    expect(Buffer.from((await source.read(1)).rgb).equals(data)).toBe(true);
  });
});

test("a TIFF of floats from 0 to 1 is no night", async () => {
  const { rgb } = await (await openSource(spec("float-tiff"))).read(0);
  expect(Math.max(...rgb)).toBeGreaterThan(200);
});

type Small = Record<"images" | "annotations" | "categories", Record<string, unknown>[]>;

/** A data set of one small picture, changed. */
async function small(change: (file: Small) => void, images = "images") {
  mkdirSync(join(scratch(), images), { recursive: true });
  await sharp({ create: { width: 10, height: 8, channels: 3, background: "#123456" } })
    .png()
    .toFile(join(scratch(), images, "a.png"));
  const file = {
    images: [{ id: 1, file_name: "a.png", width: 10, height: 8 }] as Record<string, unknown>[],
    annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [1, 1, 4, 4] }] as Record<
      string,
      unknown
    >[],
    categories: [{ id: 1, name: "thing" }] as Record<string, unknown>[],
  };
  change(file);
  writeFileSync(join(scratch(), "instances.json"), JSON.stringify(file));
  return {
    kind: "coco",
    images: join(scratch(), images),
    annotations: join(scratch(), "instances.json"),
  };
}

const refusal = async (data: DataSpec) =>
  (await failure(openSource(data), DataError)).replaceAll(scratch(), "DATA");

test("runs inside of a list: a short message, however many there are", async () => {
  const counts = Array.from({ length: 100_000 }, (_, at) => at);
  const data = await small(({ annotations }) => {
    annotations[0]!.segmentation = [{ size: [8, 10], counts }];
  });
  const message = await refusal(data);
  expect(message.length).toBeLessThan(300);
  expect(message).toBe(
    'annotation file DATA/instances.json: annotation 1 of image 1 (a.png): polygon 1 of 1: got {"size":' +
      '[8,10],"counts":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,...; wanted [x, y, x, y, ...]',
  );
});

describe("where a picture may lie", () => {
  const named = (name: string) => small(({ images }) => void (images[0]!.file_name = name));

  test.each(["../a.png", "b/../../images/a.png", "/etc/passwd", "..\\a.png"])(
    "not at %s",
    async (name) => {
      const data = await named(name);
      expect(await refusal(data)).toBe(
        `DATA/instances.json names ${JSON.stringify(name)}, which leads out of the image folder ` +
          "DATA/images. If that is meant, allow it: --data 'KIND:PLACE#outside'",
      );
    },
  );

  test("outside, if that is allowed", async () => {
    const data = await named("../images/a.png");
    expect((await (await openSource({ ...data, outside: true })).read(0)).width).toBe(10);
    const absolute = await named(join(scratch(), "images/a.png"));
    expect((await (await openSource({ ...absolute, outside: true })).read(0)).width).toBe(10);
  });

  test("not at the end of a link that leads out, unless that is allowed", async () => {
    const data = await named("link.png");
    symlinkSync("/etc/passwd", join(scratch(), "images/link.png"));
    expect(await refusal(data)).toBe(
      "DATA/images/link.png is a link that leads out of the image folder DATA/images. If that is meant, " +
        "allow it: --data 'KIND:PLACE#outside'",
    );
    expect((await openSource({ ...data, outside: true })).size).toBe(1);
  });

  test("at the end of a link inside; and the folder itself may be a link", async () => {
    const data = await named("link.png");
    symlinkSync("a.png", join(scratch(), "images/link.png"));
    symlinkSync("images", join(scratch(), "elsewhere"));
    const source = await openSource({ ...data, images: join(scratch(), "elsewhere") });
    expect((await source.read(0)).width).toBe(10);
  });

  test("a pipe, a device, a folder are no pictures, and nothing waits for them", async () => {
    const data = await named("pipe.png");
    execFileSync("mkfifo", [join(scratch(), "images/pipe.png")]);
    expect(await refusal(data)).toBe("DATA/images/pipe.png is a pipe; wanted a regular file");
    symlinkSync("/dev/zero", join(scratch(), "images/zero.png"));
    const endless = { ...(await named("zero.png")), outside: true };
    expect(await refusal(endless)).toBe(
      "DATA/images/zero.png leads to a device; wanted a regular file",
    );
    mkdirSync(join(scratch(), "images/folder.png"));
    expect(await refusal(await named("folder.png"))).toBe(
      "DATA/images/folder.png is a folder; wanted a regular file",
    );
  });

  test("a picture that became a pipe since is skipped by name", async () => {
    const source = await openSource(await named("a.png"));
    execFileSync("sh", ["-c", 'rm "$0" && mkfifo "$0"', join(scratch(), "images/a.png")]);
    expect((await failure(source.read(0), BadImageError)).replaceAll(scratch(), "DATA")).toBe(
      "image a.png: the file DATA/images/a.png is a pipe; wanted a regular file",
    );
  });

  test.each(["pipe", "device"])("annotations that are a %s", async (kind) => {
    const path = join(scratch(), "odd.json");
    if (kind === "pipe") execFileSync("mkfifo", [path]);
    else symlinkSync("/dev/zero", path);
    expect(await refusal({ ...(await named("a.png")), annotations: path })).toBe(
      `annotation file DATA/odd.json is a ${kind}; wanted a regular file`,
    );
  });
});

describe("texts", () => {
  test("a name in other bytes for the same letters is the same file", async () => {
    const data = await small(({ images }) => void (images[0]!.file_name = "caf\u00e9.png"));
    cpSync(join(scratch(), "images/a.png"), join(scratch(), "images/cafe\u0301.png"));
    const source = await openSource(data);
    expect((await source.read(0)).key).toBe("cafe\u0301.png");
  });

  test("what would steer a terminal is spelled out", async () => {
    const data = await small(
      ({ images }) => void (images[0]!.file_name = "\u001b[2J\r\u202egnp.png"),
    );
    expect(await refusal(data)).toBe(
      "1 of 1 images of DATA/instances.json are not in the folder DATA/images: \\u001b[2J\\u000d\\u202egnp.png",
    );
    const bad = new BadImageError("\u001b[31m", "gone");
    expect([bad.message, bad.key]).toEqual(["image \\u001b[31m: gone", "\u001b[31m"]);
  });

  test("ids above 2^53 are not mixed up", async () => {
    const data = await small((file) => {
      file.images.push({ ...file.images[0] });
      file.annotations.push({ ...file.annotations[0], id: 2 });
    });
    // Written by hand: JavaScript has no such numbers.
    const text = readFileSync(data.annotations, "utf8")
      .replace('{"id":1,"file', '{"id":9007199254740993,"file')
      .replace('{"id":1,"file', '{"id":9007199254740992,"file')
      .replace('"image_id":1', '"image_id":9007199254740992')
      .replace('"image_id":1', '"image_id":9007199254740992');
    writeFileSync(data.annotations, text);
    const source = await openSource(data);
    const counts = [(await source.read(0)).objects.length, (await source.read(1)).objects.length];
    expect(counts).toEqual([0, 2]);
  });

  test("empty masks are counted, and are no objects", async () => {
    const data = await small((file) => {
      const { id: _, ...rest } = file.annotations[0]!;
      file.annotations.push(
        { ...rest, id: 2, segmentation: { size: [8, 10], counts: [80] } },
        { ...rest, id: 3, segmentation: [[1.1, 1.1, 1.2, 1.1, 1.2, 1.2]] },
      );
    });
    const source = await openSource(data);
    expect(source.notes).toEqual(["left out: 1 empty mask"]);
    expect((await source.read(0)).objects.map(({ id }) => id)).toEqual([1]);
  });

  test("annotations in any order of lists", async () => {
    const data = await small(() => {});
    const { images, annotations, categories } = JSON.parse(readFileSync(data.annotations, "utf8"));
    for (const file of [
      { annotations, categories, images },
      { categories, images, annotations },
    ]) {
      writeFileSync(data.annotations, JSON.stringify(file));
      const { objects } = await (await openSource(data)).read(0);
      expect(objects).toMatchObject([{ id: 1, label: 0, area: 16 }]);
    }
  });
});

test("saved configurations may hold anything: a sentence for each", async () => {
  const data = await small(() => {});
  const message = async (more: Record<string, unknown>) => {
    const error: unknown = await openSource({ ...data, ...more }).catch(
      (reason: unknown) => reason,
    );
    return (error as Error).message;
  };
  expect(await message({ kind: "vco" })).toMatch(
    /^data of the kind "vco" is not known; wanted one of coco,/,
  );
  expect(await message({ images: 3 })).toBe(
    'data of the kind coco: "images" is 3; wanted the name of a file or folder',
  );
  expect(await message({ limit: 0.5 })).toBe(
    "data setting limit: got 0.5; wanted a whole number, 1 or more",
  );
});
