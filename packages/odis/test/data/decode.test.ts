import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp, { type Sharp } from "sharp";
import { describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/decode.js";
import { BadImageError } from "../../src/core/errors.js";
import { scratchFolder } from "../scratch.js";
import { failure } from "../failure.js";

const scratch = scratchFolder();
const size = { width: 8, height: 4 };

/** Left half red, right half blue. */
function halves(): Sharp {
  const rgb = Buffer.alloc(3 * size.width * size.height);
  for (let at = 0; at < size.width * size.height; at += 1) {
    rgb[3 * at + (at % size.width < size.width / 2 ? 0 : 2)] = 255;
  }
  return sharp(rgb, { raw: { ...size, channels: 3 } });
}

const rules = { color: "stored", exif: "annotated" } as const;

function decodeFile(path: string, name: string, wanted?: typeof size, turned = false) {
  return decodeImage(readFileSync(path), name, wanted, rules, async () => turned);
}

async function decoded(image: Sharp, name: string, wanted = size, turned = false) {
  const path = join(scratch(), name);
  await image.toFile(path);
  const pixels = await decodeFile(path, name, wanted, turned);
  const at = (x: number, y: number) => [
    ...pixels.rgb.subarray(3 * (y * pixels.width + x), 3 * (y * pixels.width + x) + 3),
  ];
  return { ...pixels, at };
}

function refusal(name: string, wanted = size): Promise<string> {
  return failure(decodeFile(join(scratch(), name), name, wanted), BadImageError);
}

/** JPEG and colour spaces round; a channel that is off by this much would be another colour. */
const near = (color: readonly number[]) => color.map((value) => Math.round(value / 64) * 64);

describe("every kind of picture becomes 8-bit RGB", () => {
  test("a gray JPEG has its gray three times", async () => {
    const gray = sharp({ create: { ...size, channels: 3, background: "rgb(90, 90, 90)" } });
    const { rgb, at } = await decoded(gray.toColourspace("b-w").jpeg(), "gray.jpg");
    expect(rgb).toHaveLength(3 * 32);
    expect(at(3, 3)).toEqual([90, 90, 90]);
  });

  test("a 16-bit PNG keeps its high bytes", async () => {
    const deep = Uint16Array.from({ length: 3 * 32 }, (_, at) => at * 600);
    const image = sharp(deep, { raw: { ...size, channels: 3 } }).toColourspace("rgb16");
    const { rgb } = await decoded(image.png(), "deep.png");
    expect(readFileSync(join(scratch(), "deep.png"))[24]).toBe(16); // the header's bit depth
    expect([...rgb]).toEqual([...deep].map((value) => value >> 8));
  });

  test("transparent parts become white", async () => {
    const clear = sharp({ create: { ...size, channels: 4, background: "rgba(255, 0, 0, 0)" } });
    const { rgb, at } = await decoded(clear.png(), "clear.png");
    expect(rgb).toHaveLength(3 * 32);
    expect(at(0, 0)).toEqual([255, 255, 255]);
  });

  test("a palette is looked up", async () => {
    const { at } = await decoded(halves().png({ palette: true }), "palette.png");
    expect([at(0, 0), at(7, 3)]).toEqual([
      [255, 0, 0],
      [0, 0, 255],
    ]);
  });

  test("one pixel is a picture, too", async () => {
    const dot = sharp({ create: { width: 1, height: 1, channels: 3, background: "#010203" } });
    const { rgb } = await decoded(dot.png(), "dot.png", { width: 1, height: 1 });
    expect([...rgb]).toEqual([1, 2, 3]);
  });
});

const turned = () => halves().jpeg({ quality: 100 }).withMetadata({ orientation: 6 });

describe("a photo that EXIF turns by 90°", () => {
  test("stays as stored if its annotations have the stored size", async () => {
    const { at } = await decoded(turned(), "stored.jpg");
    expect([near(at(0, 0)), near(at(7, 0))]).toEqual([
      [256, 0, 0],
      [0, 0, 256],
    ]);
  });

  test("is turned if its annotations have the turned size", async () => {
    const wanted = { width: 4, height: 8 };
    const { width, height, at } = await decoded(turned(), "turned.jpg", wanted);
    expect([width, height]).toEqual([4, 8]);
    expect([near(at(0, 0)), near(at(3, 0)), near(at(0, 7))]).toEqual([
      [256, 0, 0],
      [256, 0, 0],
      [0, 0, 256],
    ]);
  });

  test("is what the data set's other photographs say if both sizes are the same", async () => {
    const image = () => halves().jpeg({ quality: 100 }).withMetadata({ orientation: 3 });
    const stored = await decoded(image(), "half-turn.jpg", size, false);
    expect(near(stored.at(0, 0))).toEqual([256, 0, 0]);
    const turned = await decoded(image(), "half-turn.jpg", size, true);
    expect(near(turned.at(0, 0))).toEqual([0, 0, 256]);
  });
});

describe("a picture that cannot be used is named with its reason", () => {
  test("a JPEG that ends too early", async () => {
    const noise = { type: "gaussian", mean: 128, sigma: 40 } as const;
    const whole = await sharp({
      create: { width: 64, height: 64, channels: 3, noise, background: "" },
    })
      .jpeg()
      .toBuffer();
    writeFileSync(join(scratch(), "torn.jpg"), whole.subarray(0, whole.length / 2));
    expect(await refusal("torn.jpg", { width: 64, height: 64 })).toBe(
      "image torn.jpg: cannot be decoded (VipsJpeg: premature end of JPEG image)",
    );
  });

  test("a file that is no picture", async () => {
    writeFileSync(join(scratch(), "text.jpg"), "not a picture");
    expect(await refusal("text.jpg")).toMatch(/^image text\.jpg: cannot be decoded \(.*format/);
  });

  test("an empty file", async () => {
    writeFileSync(join(scratch(), "empty.png"), "");
    expect(await refusal("empty.png")).toMatch(/^image empty\.png: cannot be decoded \(/);
  });

  test("another size than the annotations'", async () => {
    await halves().png().toFile(join(scratch(), "small.png"));
    expect(await refusal("small.png", { width: 640, height: 480 })).toBe(
      "image small.png: the file is 8 × 4 pixels; wanted 640 × 480, the size that its annotations " +
        "refer to",
    );
  });
});
