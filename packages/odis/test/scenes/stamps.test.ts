import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { makeScenes } from "../../src/scenes/make.js";
import { shrink } from "../../src/scenes/resize.js";
import type { Sprite } from "../../src/scenes/sprite.js";
import { openStamps, stampsFolder } from "../../src/scenes/stamps.js";
import { openSource } from "../../src/data/dataset.js";
import { DataError } from "../../src/core/errors.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const sprites = { kind: "stamps", folder: stampsFolder } as const;

/** Colour and opacity of a sprite as one text, to compare by. */
const bytes = ({ width, height, rgba }: Sprite) =>
  `${width} ${height} ${Buffer.from(rgba).toString("base64")}`;

describe("stamps", () => {
  test("every class has some for training and others for testing", async () => {
    const { train, test } = await openStamps(stampsFolder, 48);
    expect(train.classes.length).toBe(19);
    expect(test.classes).toEqual(train.classes);
    expect(test.size / (train.size + test.size)).toBeCloseTo(0.24, 1);
    expect(train.size + test.size).toBeGreaterThan(400);

    const all = async (source: typeof train) =>
      Promise.all(Array.from({ length: source.size }, (_, index) => source.read(index)));
    const [forTraining, forTesting] = [await all(train), await all(test)];
    for (const label of train.classes.keys()) {
      const count = (list: readonly Sprite[]) =>
        list.filter((sprite) => sprite.label === label).length;
      expect(count(forTraining)).toBeGreaterThanOrEqual(4);
      expect(count(forTesting)).toBeGreaterThanOrEqual(1);
    }
    const trained = new Set(forTraining.map(bytes));
    expect(forTesting.filter((sprite) => trained.has(bytes(sprite)))).toEqual([]);
    for (const { width, height, rgba } of [...forTraining, ...forTesting]) {
      expect(Math.max(width, height)).toBeLessThanOrEqual(48);
      expect(rgba.length).toBe(4 * width * height);
      const solid = rgba.filter((value, at) => at % 4 === 3 && value >= 128).length;
      expect(solid / (width * height)).toBeGreaterThan(0.05);
    }
  });

  test("are the package's pictures, trimmed", async () => {
    const { train } = await openStamps(stampsFolder, 10_000);
    // The first bird: the order of names decides.
    const { width, height, rgba, label } = await train.read(0);
    expect(train.classes[label]).toBe("bird");
    const { data, info } = await sharp(join(stampsFolder, "animals/birds/adelaide-rosella.png"))
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    const seen = (x: number, y: number) => data[4 * (y * info.width + x) + 3]! > 16;
    let [left, top, right, bottom] = [info.width, info.height, -1, -1];
    for (let y = 0; y < info.height; y += 1)
      for (let x = 0; x < info.width; x += 1)
        if (seen(x, y)) {
          [left, right] = [Math.min(left, x), Math.max(right, x)];
          [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
        }
    expect([width, height]).toEqual([right - left + 1, bottom - top + 1]);
    for (let at = 0; at < width * height; at += 97) {
      const from = 4 * ((top + Math.floor(at / width)) * info.width + left + (at % width));
      const [opacity, wanted] = [rgba[4 * at + 3]!, data[from + 3]!];
      expect(opacity).toBe(wanted > 16 ? wanted : 0);
      expect([...rgba.subarray(4 * at, 4 * at + 3)]).toEqual([...data.subarray(from, from + 3)]);
    }
  });

  test("scenes of them: labelled, masks disjoint, the same from the same seed", async () => {
    const options = { sprites, train: 12, test: 4, canvas: 64 };
    const made = await makeScenes(join(scratch(), "a"), options);
    const again = await makeScenes(join(scratch(), "b"), options);
    const [source, copy] = [await openSource(made.train), await openSource(again.train)];
    expect(source.classes).toContain("road sign");
    const labels = new Set<number>();
    let colours = 0;
    for (let index = 0; index < source.size; index += 1) {
      const { rgb, objects } = await source.read(index);
      expect((await copy.read(index)).rgb).toEqual(rgb);
      expect(objects.length).toBeGreaterThanOrEqual(2);
      const owners = new Uint8Array(64 * 64);
      for (const object of objects) {
        labels.add(object.label);
        object.pixels().forEach((bit, at) => {
          owners[at]! += bit;
          if (bit) colours = Math.max(colours, rgb[3 * at]! - rgb[3 * at + 2]!);
        });
      }
      expect(Math.max(...owners)).toBe(1);
    }
    expect(labels.size).toBeGreaterThan(8);
    expect(colours).toBeGreaterThan(100); // somewhere something is red or yellow
  });

  test("a missing folder names the package", async () => {
    await expect(openStamps("/nowhere", 64)).rejects.toThrow(
      new DataError(
        "stamps: /nowhere is not there. On Debian and Ubuntu it comes with: " +
          "sudo apt-get install tuxpaint-stamps-default",
      ),
    );
  });

  test("a folder of something else is refused by class", async () => {
    mkdirSync(join(scratch(), "animals/birds"), { recursive: true });
    for (const name of ["a.png", "b.png", "b_mirror.png", "a.ogg"])
      writeFileSync(join(scratch(), "animals/birds", name), "");
    await expect(openStamps(scratch(), 64)).rejects.toThrow(
      `stamps: ${scratch()} has 2 of class "bird" (in animals/birds); wanted 6 or more. On Debian`,
    );
  });

  test("a torn file is named", async () => {
    // One of each class.
    const places = `
      animals/birds animals/fish animals/insects animals/marsupials clothes
      food/fruit food/vegetables hobbies/music household/dishes household/tools
      plants/flowers plants/trees space/planets sports symbols/chess
      symbols/money/us/coins town/houses town/roadsigns vehicles/auto`;
    for (const place of places.trim().split(/\s+/)) {
      mkdirSync(join(scratch(), place), { recursive: true });
      for (let k = 0; k < 6; k += 1) writeFileSync(join(scratch(), place, `${k}.png`), "torn");
    }
    const { train, test } = await openStamps(scratch(), 64);
    expect([train.size, test.size]).toEqual([19 * 5, 19]);
    await expect(train.read(0)).rejects.toThrow(
      `stamps: ${join(scratch(), "animals/birds/0.png")} cannot be decoded (Input `,
    );
  });

  test("shrinking keeps colours from mixing with what lies outside", () => {
    // Red where it is solid, green where nobody sees it.
    const rgba = new Uint8Array(4 * 64);
    for (let at = 0; at < 64; at += 1) {
      const solid = at % 8 < 4;
      rgba.set(solid ? [255, 0, 0, 255] : [0, 255, 0, 0], 4 * at);
    }
    const small = shrink({ width: 8, height: 8, rgba, label: 3 }, 4);
    expect([small.width, small.height, small.label]).toEqual([4, 4, 3]);
    for (let at = 0; at < 16; at += 1) {
      const [red, green, , opacity] = small.rgba.subarray(4 * at, 4 * at + 4);
      if (opacity! > 0) expect([red, green]).toEqual([255, 0]);
    }
    expect(small.rgba[3]).toBe(255);
    expect(small.rgba[15]).toBe(0);
  });
});
