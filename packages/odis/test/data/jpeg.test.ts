import { readdirSync, readFileSync } from "node:fs";
import { decodeJpeg, jpegLibrary } from "@odis/torch/images";
import * as fc from "fast-check";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { firstDifference } from "../golden.js";

const fixtures = new URL("../fixtures", import.meta.url).pathname;
const largest = 1e8;

/** The general decoder: libvips with its own libjpeg, values as stored. */
async function general(file: Buffer) {
  const { data, info } = await sharp(file, { failOn: "error", ignoreIcc: true })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

async function expectSame(file: Buffer): Promise<void> {
  const got = decodeJpeg(file, largest)!;
  const wanted = await general(file);
  expect([got.width, got.height]).toEqual([wanted.width, wanted.height]);
  expect(firstDifference(got.rgb, wanted.rgb)).toBe(-1);
}

/** Something of everything that a code table holds: slopes, edges, noise of a strength. */
function painted(width: number, height: number, noise: number, seed: number): Buffer {
  const rng = new Rng("painted", seed);
  const [a, b] = [rng.uniform(0, 0.2), rng.uniform(0, 0.2)];
  return Buffer.from(
    Uint8Array.from({ length: 3 * width * height }, (_, index) => {
      const [x, y] = [Math.floor(index / 3) % width, Math.floor(index / 3 / width)];
      const wave = 128 + 90 * Math.sin(a * x + (index % 3)) * Math.cos(b * y);
      return Math.max(0, Math.min(255, wave + noise * (rng.uniform() - 0.5)));
    }),
  );
}

const picture = fc.record({
  width: fc.integer({ min: 1, max: 90 }),
  height: fc.integer({ min: 1, max: 90 }),
  noise: fc.constantFrom(0, 20, 500),
  seed: fc.nat(),
  grey: fc.boolean(),
  options: fc.record({
    quality: fc.integer({ min: 1, max: 100 }),
    chromaSubsampling: fc.constantFrom("4:2:0", "4:4:4"),
    progressive: fc.boolean(),
    optimiseCoding: fc.boolean(),
  }),
});
type Painted = typeof picture extends fc.Arbitrary<infer Value> ? Value : never;

const plain = {
  quality: 60,
  chromaSubsampling: "4:2:0",
  progressive: false,
  optimiseCoding: false,
} as const;

function encoded({ width, height, noise, seed, grey, options }: Painted): Promise<Buffer> {
  const raw = { width, height, channels: 3 } as const;
  const image = sharp(painted(width, height, noise, seed), { raw });
  return (grey ? image.toColourspace("b-w") : image).jpeg(options).toBuffer();
}

describe.skipIf(jpegLibrary() === undefined)("the JPEG decoder", () => {
  const photographs = readdirSync(`${fixtures}/coco-6/images`);
  test.each(photographs)("gives libvips's pixels of the photograph %s", async (name) => {
    await expectSame(readFileSync(`${fixtures}/coco-6/images/${name}`));
  });

  const pictures = readdirSync(`${fixtures}/pictures`).filter((name) => name.endsWith(".jpg"));
  test.each(pictures)("gives Pillow's pixels of %s, or leaves it to others", (name) => {
    const got = decodeJpeg(readFileSync(`${fixtures}/pictures/${name}`), largest);
    // Inks are not for it. Turned pictures come as stored: Pillow's values are compared in decode.test.ts.
    if (name.startsWith("ink")) expect(got).toBeUndefined();
    else if (!name.startsWith("turned"))
      expect(firstDifference(got!.rgb, readFileSync(`${fixtures}/pictures/${name}.rgb`))).toBe(-1);
  });

  test("gives libvips's pixels of whatever was encoded", async () => {
    await fc.assert(
      fc.asyncProperty(picture, async (painted) => {
        const file = await encoded(painted);
        // Many scans of one small file can be hours of work: libvips counts them.
        if (painted.options.progressive) expect(decodeJpeg(file, largest)).toBeUndefined();
        else await expectSame(file);
      }),
      { numRuns: 150 },
    );
  });

  test("takes no picture that is larger than asked for", async () => {
    const file = await encoded({
      width: 20,
      height: 10,
      noise: 0,
      seed: 1,
      grey: false,
      options: plain,
    });
    expect(decodeJpeg(file, 199)).toBeUndefined();
    expect(decodeJpeg(file, 200)).toMatchObject({ width: 20, height: 10 });
  });

  test("leaves files to others that are cut off anywhere", async () => {
    const file = await encoded({
      width: 50,
      height: 40,
      noise: 20,
      seed: 7,
      grey: false,
      options: plain,
    });
    // Without the last two bytes, the marker of the end, too: libjpeg calls that torn.
    for (let length = 0; length < file.length - 1; length += 1)
      expect(decodeJpeg(file.subarray(0, length), largest)).toBeUndefined();
    expect(decodeJpeg(Buffer.concat([file, Buffer.from("more")]), largest)).toBeDefined();
  });

  test("gives libvips's pixels of a damaged file, or leaves it to others", async () => {
    let [answers, passes] = [0, 0];
    const damaged = fc.tuple(
      picture,
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
    );
    await fc.assert(
      fc.asyncProperty(damaged, async ([painted, damages]) => {
        const file = await encoded(painted);
        for (const [place, value] of damages) file[place % file.length] = value;
        const got = decodeJpeg(file, largest);
        if (!got) {
          passes += 1;
          return;
        }
        answers += 1;
        const wanted = await general(file);
        expect(firstDifference(got.rgb, wanted.rgb)).toBe(-1);
      }),
      { numRuns: 800 },
    );
    expect(Math.min(answers, passes)).toBeGreaterThan(100);
  });

  test.each([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("not a picture")],
    ["a beginning", Buffer.of(0xff, 0xd8)],
    ["markers without end", Buffer.alloc(1000, 0xff)],
  ])("leaves %s to others", (_, file) => expect(decodeJpeg(file, largest)).toBeUndefined());

  test("bytes that are no file are refused", () => {
    expect(() => decodeJpeg("file" as unknown as Buffer, largest)).toThrow(
      "size: wanted a file's bytes",
    );
  });
});
