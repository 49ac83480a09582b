import { readFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.js";
import { decodeLabelMap } from "../../src/data/label-map.js";
import { BadImageError } from "../../src/core/errors.js";
import { failure } from "../failure.js";

const fixtures = join(import.meta.dirname, "../fixtures/pictures");
const file = (name: string) => readFileSync(join(fixtures, name));

function decoded(name: string, rules = {}, turned = false) {
  const all = { color: "stored", exif: "annotated", ...rules } as const;
  return decodeImage(file(name), name, undefined, all, async () => turned);
}

describe("pictures are Pillow's to the byte", () => {
  test.each([
    "plain.jpg",
    "profile.jpg",
    "profile.png",
    "ink.jpg",
    "ink.tif",
    "ink-profile.jpg",
    "grey.jpg",
    "palette.png",
  ])("%s", async (name) => {
    const { width, height, rgb } = await decoded(name);
    expect([width, height]).toEqual([48, 32]);
    expect(Buffer.from(rgb).equals(file(`${name}.rgb`))).toBe(true);
  });

  test.each([
    ["turned-1.jpg", [48, 32]],
    ["turned-3.jpg", [48, 32]],
    ["turned-6.jpg", [32, 48]],
  ])("turned as EXIF has it: %s", async (name, size) => {
    for (const picture of [
      await decoded(name, { exif: "turned" }),
      await decoded(name, {}, true),
    ]) {
      expect([picture.width, picture.height]).toEqual(size);
      expect(Buffer.from(picture.rgb).equals(file(`${name}.rgb`))).toBe(true);
    }
    const stored = file("turned-1.jpg.rgb");
    expect(Buffer.from((await decoded(name)).rgb).equals(stored)).toBe(true);
    expect(Buffer.from((await decoded(name, { exif: "stored" })).rgb).equals(stored)).toBe(true);
  });
});

test("a profile is looked through if it is asked for", async () => {
  for (const name of ["profile.jpg", "profile.png"]) {
    const { rgb } = await decoded(name, { color: "managed" });
    const stored = file(`${name}.rgb`);
    const apart = rgb.reduce((most, value, at) => Math.max(most, Math.abs(value - stored[at]!)), 0);
    expect(apart).toBeGreaterThan(20); // the wider primaries are further out
  }
});

describe("floats", () => {
  test("from 0 to 1 are scaled", async () => {
    const { rgb } = await decoded("float.tif");
    // Pillow made them from its own grey: ITU-R 601 luma of the photograph, rounded.
    const original = await sharp(join(fixtures, "../coco-6/images/000000000030.jpg"))
      .extract({ left: 200, top: 150, width: 48, height: 32 })
      .raw()
      .toBuffer();
    for (let pixel = 0; pixel < 48 * 32; pixel += 1) {
      const [r, g, b] = original.subarray(3 * pixel, 3 * pixel + 3);
      const luma = (r! * 19595 + g! * 38470 + b! * 7471 + 0x8000) >> 16;
      expect([...rgb.subarray(3 * pixel, 3 * pixel + 3)]).toEqual([luma, luma, luma]);
    }
  });

  test.each([
    [
      "float-255.tif",
      /^image float-255\.tif: cannot be decoded \(its values are floats from 17 to 248; wanted 0 to 1\)$/,
    ],
    [
      "int32.tif",
      /^image int32\.tif: cannot be decoded \(its values are of the kind u?int; wanted 8 or 16 bits, or floats\)$/,
    ],
  ])("%s is refused by name", async (name, message) => {
    expect(await failure(decoded(name), BadImageError)).toMatch(message);
  });
});

describe("label maps are Pillow's and NumPy's values", () => {
  test.each([
    "map-palette.png",
    "map-2-bits.png",
    "map-1-bit.png",
    "map-grey.png",
    "map-16-bits.png",
    "map-rgb.png",
  ])("%s", (name) => {
    const { width, height, values } = decodeLabelMap(file(name), name);
    expect([width, height]).toEqual([13, 9]);
    const bytes = file(`${name}.values`);
    const wanted = Array.from({ length: 13 * 9 }, (_, at) => bytes.readUInt32LE(4 * at));
    expect(Array.from(values)).toEqual(wanted);
  });

  const map = file("map-16-bits.png");
  const changed = (at: number, value: number) => {
    const copy = Buffer.from(map);
    copy.writeUInt32BE(value, at);
    return copy;
  };
  test.each([
    ["a JPEG", file("plain.jpg"), "it is no PNG"],
    ["half a file", map.subarray(0, map.length / 2), "it ends too early"],
    [
      "a size of gigabytes",
      changed(16, 2 ** 31),
      `it has ${2 ** 31} × 9 pixels; at most 100000000 are read`,
    ],
    ["another size", changed(20, 3), "Cannot create a Buffer larger than 82 bytes"],
    ["no size", changed(16, 0), "it has 0 × 9 pixels; at most 100000000 are read"],
  ])("%s is refused", (_, bytes, reason) => {
    expect(() => decodeLabelMap(bytes, "a.png")).toThrow(
      new BadImageError("a.png", `its label map cannot be decoded (${reason})`),
    );
  });
});
