import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { scratchFolder } from "../scratch.js";
import { odis } from "./odis.js";

const scratch = scratchFolder();
const fixtures = join(import.meta.dirname, "../fixtures");
const photographs = join(fixtures, "coco-6");

describe("odis data inspect", () => {
  test("says what lies there, and draws it", async () => {
    const { code, stdout } = odis(["data", "inspect", photographs], { cwd: scratch() });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^coco:\S*coco-6\ncoco: 6 images, 29 objects, 69 classes\nread 6 of 6 images:\n/,
    );
    expect(stdout).toMatch(/ {2}objects an image {3}2 {2}2 {2}4 {2}8 {2}11\n/);
    expect(stdout).toMatch(/ {4}at 0\.0025: \d+ of 29 objects; \d+ images have none left\n/);
    expect(stdout).toMatch(/contact sheet: data-sheet\.png\n$/);
    const { width, height } = await sharp(join(scratch(), "data-sheet.png")).metadata();
    expect([width, height]).toEqual([3 * 196 + 4, 2 * 196 + 4]);
  });

  test("names copies, crowds, and pictures that cannot be used", async () => {
    const twice = odis(
      ["data", "inspect", join(fixtures, "cases/file-twice/data"), "--sheet", "a.png"],
      { cwd: scratch() },
    );
    expect(twice.stdout).toContain(
      "  60 pictures are there more than once:\n    000.png = 000.png\n",
    );
    const crowds = odis(
      ["data", "inspect", join(fixtures, "cases/all-crowd/data"), "--sheet", "a.png"],
      { cwd: scratch() },
    );
    expect(crowds.stdout).toContain("  left out: 8 crowd regions (iscrowd)\n");
    mkdirSync(join(scratch(), "photos"));
    cpSync(join(photographs, "images"), join(scratch(), "photos"), { recursive: true });
    writeFileSync(join(scratch(), "photos/torn.jpg"), "torn");
    const torn = odis(["data", "inspect", "photos"], { cwd: scratch() });
    expect(torn.stdout).toContain("folder: 7 images, no objects\n");
    expect(torn.stdout).toMatch(/ {2}1 image cannot be used:\n {4}torn\.jpg: cannot be decoded \(/);
  });

  test("a place that can be read in two ways is a question with the commands that answer it", async () => {
    cpSync(photographs, join(scratch(), "both ways"), { recursive: true });
    mkdirSync(join(scratch(), "both ways/labels"));
    writeFileSync(join(scratch(), "both ways/labels/000000000030.txt"), "0 .5 .5 .1 .1\n");
    const { code, stderr } = odis(["data", "inspect", "both ways"], { cwd: scratch() });
    expect([code, stderr]).toEqual([
      2,
      "odis data inspect: data both ways: this could be read in 2 ways. Say which is meant:\n" +
        "odis data inspect:   'coco:both ways'    instances.json beside images/\n" +
        "odis data inspect:   'yolo:both ways'    images/ and labels/*.txt\n",
    ]);
  });

  test("what is no data set", async () => {
    mkdirSync(join(scratch(), "notes"));
    writeFileSync(join(scratch(), "notes/a\u001b[2J.txt"), "text");
    const { code, stderr } = odis(["data", "inspect", "notes"], { cwd: scratch() });
    expect(code).toBe(2);
    expect(stderr).toContain(
      "data notes: nothing there is a data set that odis knows (a\\u001b[2J.txt). Say what it is: KIND:PLACE",
    );
  });
});

describe("odis data convert and shard", () => {
  test("write a data set that the advised command reads", async () => {
    const made = odis(["data", "convert", photographs, "yolo", "--to", "yolo"], { cwd: scratch() });
    expect([made.code, made.stdout]).toEqual([
      0,
      "yolo: 6 images, 29 objects as yolo\nread it with --data yolo:yolo\n",
    ]);
    const read = odis(["data", "inspect", "yolo:yolo"], { cwd: scratch() });
    expect(read.stdout).toContain("yolo: 6 images, 29 objects, 69 classes\n");
    // Label maps do not say themselves what their numbers are.
    const maps = odis(["data", "convert", "yolo:yolo", "my maps", "--to", "maps"], {
      cwd: scratch(),
    });
    const advised = /^read it with --data '(.*)'$/m.exec(maps.stdout)?.[1];
    expect(advised).toBe("maps:my maps#values=objects");
    const again = odis(["data", "inspect", advised!], { cwd: scratch() });
    expect(again.stdout).toMatch(/^maps: 6 images, /m);
    const packed = odis(["data", "shard", "yolo:yolo", "packed", "--size", "1"], {
      cwd: scratch(),
    });
    expect(packed.stdout).toBe(
      "packed: 6 images, 29 objects as shards\nread it with --data shards:packed\n",
    );
    expect(readFileSync(join(scratch(), "packed/classes.txt"), "utf8").split("\n")).toHaveLength(
      70,
    );
  });

  test("refuse a folder that holds something, a format that is unknown, too few words", async () => {
    writeFileSync(join(scratch(), "mine.txt"), "mine");
    const held = odis(["data", "convert", photographs, ".", "--to", "coco"], { cwd: scratch() });
    expect([held.code, held.stderr]).toEqual([
      4,
      `odis data convert: ${scratch()}: holds something already (mine.txt); wanted a new or an empty folder\n`,
    ]);
    const unknown = odis(["data", "convert", photographs, "x", "--to", "yola"], { cwd: scratch() });
    expect([unknown.code, unknown.stderr]).toEqual([
      2,
      expect.stringContaining("--to yola: wanted one of coco, panoptic, lvis,"),
    ]);
    expect(unknown.stderr).toContain("Did you mean yolo?");
    const missing = odis(["data", "convert", photographs, "x"], { cwd: scratch() });
    expect(missing.stderr).toMatch(
      /^odis data convert: --to is missing; .*See odis data convert --help\.\n$/,
    );
    const alone = odis(["data"], { cwd: scratch() });
    expect([alone.code, alone.stderr]).toEqual([
      2,
      "odis data: wanted one of inspect, convert, shard, kinds. See odis data --help.\n",
    ]);
    expect(existsSync(join(scratch(), "x"))).toBe(false);
  });
});

test("odis data kinds lists every kind and every setting", async () => {
  const { stdout } = odis(["data", "kinds"], { cwd: scratch() });
  for (const kind of ["coco", "voc", "yolo", "shards", "folder", "mix", "module"])
    expect(stdout).toMatch(new RegExp(`^ {2}${kind}:`, "m"));
  for (const setting of ["limit=N", "take=FROM..TO", "color=stored|managed", "outside"])
    expect(stdout).toMatch(new RegExp(`^ {2}${setting.replaceAll(/[|.]/g, "\\$&")}$`, "m"));
});

test("a link in the place of a picture is refused with the setting that allows it", async () => {
  mkdirSync(join(scratch(), "photos"));
  symlinkSync(join(photographs, "images/000000000030.jpg"), join(scratch(), "photos/a.jpg"));
  const { code, stderr } = odis(["data", "inspect", "photos"], { cwd: scratch() });
  expect(code).toBe(3);
  expect(stderr).toContain("a.jpg is a link that leads out of the image folder");
  const allowed = odis(["data", "inspect", "photos#outside"], { cwd: scratch() });
  expect(allowed.stdout).toContain("folder: 1 image, no objects\n");
});
