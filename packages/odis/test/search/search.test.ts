import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSource, openStore, parseDataSpec } from "odis";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { likenesses } from "../../src/portable/grow.js";
import { grow } from "../../src/search/grow.js";
import { odis } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";

const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
let folder: string;
let store: string;
const photo = join(photos, "images", readdirSync(join(photos, "images"))[0]!);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  store = join(folder, "store");
  const { path } = randomRun(folder, "odis", views);
  const made = odis(["embed", path, `coco:${photos}`, "--out", store, "--index"]);
  expect(made.stdout).toMatch(/index of \d+ objects: finds 100.0 % of the ten nearest/);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const found = (...words: string[]) =>
  JSON.parse(odis(["search", store, photo, "--json", ...words]).stdout);

describe("odis search", () => {
  it("finds an object of the library by its own mask, box and picture, also with the index", async () => {
    using opened = openStore(store);
    const [object] = opened.objectsIn(0);
    const { width, height } = object!.image;
    const mask = join(folder, "mask.png");
    const pixels = Buffer.from(object!.mask().pixels());
    await sharp(pixels, { raw: { width, height, channels: 1 } })
      .png()
      .toFile(mask);
    for (const more of [[], ["--approximate"]]) {
      const [first] = found("--mask", mask, ...more);
      expect(first).toMatchObject({
        row: object!.row,
        image: object!.image.key,
        class: object!.class,
      });
      expect(first.similarity).toBeCloseTo(1, 4);
    }
    expect(found("--for", "images")[0]).toMatchObject({ row: 0, image: object!.image.key });
    const { x, y, width: w, height: h } = object!.box;
    expect(found("--box", [x, y, w, h].join(), "--top", "3")).toHaveLength(3);
    expect(found("--point", `${x + w / 2},${y + h / 2}`, "--top", "2")).toHaveLength(2);
  });

  it("prints a table, and draws what it found", async () => {
    const sheet = join(folder, "found.png");
    const { code, stdout } = odis(["search", store, photo, "--top", "5", "--sheet", sheet]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ +likeness +class +image +box\n1 +\d\.\d{3} +\w/);
    expect(stdout.trimEnd().split("\n")).toHaveLength(7);
    const { width, height } = await sharp(sheet).metadata();
    expect([width, height]).toEqual([592, 396]); // 6 pictures: 3 columns, 2 rows
  });

  it.each([
    [
      ["--box", "1,2,3"],
      2,
      "--box 1,2,3: wanted x,y,width,height: 4 numbers with commas between them",
    ],
    [["--box", "9000,9000,5,5"], 2, "box 9000,9000,5,5: is outside of the picture of"],
    [["--box", "1,1,0,5"], 3, "wanted [x, y, width, height] in pixels, width and height above 0"],
    [["--point", "-1,5"], 2, "point -1,5: is outside of the picture of"],
    [["--box", "1,1,5,5", "--point", "1,1"], 2, "got several of box, point and mask; wanted one"],
    [["--for", "images", "--approximate"], 2, "an approximate search finds objects only"],
  ])("refuses %j", (words, code, said) => {
    const ended = odis(["search", store, photo, ...words]);
    expect(ended.stderr).toContain(said);
    expect(ended.code).toBe(code);
  });
});

describe("the thing at a point", () => {
  it("is the patches that are like it and hang together", async () => {
    const source = await openSource(parseDataSpec(`coco:${photos}`));
    const sample = { ...(await source.read(0)), width: 40, height: 40, rgb: new Uint8Array(4800) };
    // 4 x 4 patches of two kinds: kind 0 on the left, kind 1 in two places that do not touch.
    const kinds = [0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0];
    const teacher = {
      width: 2,
      grid: () => ({ side: 4, box: { x: 0, y: 0, width: 40, height: 40 } }),
      patchFeatures: () =>
        Float32Array.from(
          kinds.flatMap((kind, at) => [kind === 0 ? 3 : at / 100, kind === 1 ? 2 : 0]),
        ),
    };
    const object = grow(teacher, sample, 35, 12);
    const pixels = object.pixels();
    const inside = kinds.map(
      (_, at) => pixels[(10 * Math.floor(at / 4) + 5) * 40 + 10 * (at % 4) + 5],
    );
    expect(inside).toEqual([0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("cosines by hand", () => {
    const rows = Float32Array.from([1, 0, 3, 4, -2, 0]);
    expect(
      [...likenesses(rows, Float32Array.from([2, 0]))].map((value) => value.toFixed(4)),
    ).toEqual(["1.0000", "0.6000", "-1.0000"]);
  });
});
