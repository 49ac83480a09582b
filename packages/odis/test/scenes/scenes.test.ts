import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { openFashionMnist } from "../../src/scenes/fashion-mnist.js";
import { makeScenes } from "../../src/scenes/make.js";
import { silhouette } from "../../src/scenes/sprite.js";
import { openSource } from "../../src/data/dataset.js";
import { ConfigError, DataError, RunError } from "../../src/core/errors.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const SIDE = 28;

/** idx files with solid rectangles: white 20 × 10 in the train split, gray 8 × 16 in the test split. */
function writeSprites(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [split, value, width, height] of [
    ["train", 255, 20, 10],
    ["t10k", 128, 8, 16],
  ] as const) {
    const images = Buffer.alloc(16 + 10 * SIDE * SIDE);
    images.set([0, 0, 8, 3]);
    for (const [axis, size] of [10, SIDE, SIDE].entries()) images.writeUInt32BE(size, 4 + 4 * axis);
    for (let k = 0; k < 10; k += 1) {
      for (let y = 4; y < 4 + height; y += 1) {
        const begin = 16 + (k * SIDE + y) * SIDE + 3;
        images.fill(value, begin, begin + width);
      }
    }
    const labels = Buffer.from([0, 0, 8, 1, 0, 0, 0, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    writeFileSync(join(folder, `${split}-images-idx3-ubyte.gz`), gzipSync(images));
    writeFileSync(join(folder, `${split}-labels-idx1-ubyte.gz`), gzipSync(labels));
  }
}

const sprites = () => ({ kind: "fashion-mnist" as const, folder: join(scratch(), "sprites") });
const folder = () => join(scratch(), "scenes");

function digest(path: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(path, { recursive: true }).map(String).toSorted()) {
    const full = join(path, name);
    hash.update(name);
    if (/\.\w+$/.test(name)) hash.update(readFileSync(full));
  }
  return hash.digest("hex");
}

beforeEach(() => writeSprites(sprites().folder));

describe("scenes", () => {
  test("follow from seed and options alone", async () => {
    const options = { sprites: sprites(), train: 12, test: 3 };
    await makeScenes(folder(), options);
    await makeScenes(join(scratch(), "again"), options);
    await makeScenes(join(scratch(), "other"), { ...options, seed: 1 });
    const first = digest(folder());
    expect(digest(join(scratch(), "again"))).toBe(first);
    expect(digest(join(scratch(), "other"))).not.toBe(first);
  });

  test("masks are what is in sight: disjoint, on the object's pixels, not too hidden", async () => {
    const { train } = await makeScenes(folder(), {
      sprites: sprites(),
      train: 60,
      test: 1,
      objects: [2, 5],
      tint: 0,
      background: 0,
      noise: 0,
      minVisible: 0.4,
    });
    const source = await openSource(train);
    for (let index = 0; index < source.size; index += 1) {
      const { rgb, objects } = await source.read(index);
      expect(objects.length).toBeGreaterThanOrEqual(2);
      expect(objects.length).toBeLessThanOrEqual(5);
      const owners = new Uint8Array(64 * 64);
      let [darkest, brightest] = [255, 0]; // of the objects, of the background
      for (const object of objects) {
        for (const [at, bit] of object.pixels().entries()) {
          if (bit === 0) continue;
          owners[at]! += 1;
          darkest = Math.min(darkest, rgb[3 * at]!);
        }
        // A rectangle of 2:1 of which at least 40 % is in sight, on 0.3 to 0.6 of the canvas.
        const full = object.box.width * object.box.height;
        expect(object.area).toBeGreaterThan(0.4 * 0.3 * 64 * 0.15 * 64 * 0.8);
        expect(object.area).toBeLessThanOrEqual(full);
      }
      expect(Math.max(...owners)).toBe(1);
      for (const [at, owner] of owners.entries()) {
        if (owner === 0) brightest = Math.max(brightest, rgb[3 * at]!);
      }
      // White on gray 102 in the file: an edge pixel is the object's from the middle, 178, on.
      expect(darkest).toBeGreaterThanOrEqual(178);
      expect(brightest).toBeLessThanOrEqual(180);
    }
  });

  test("train and test use their own products; labels come through", async () => {
    const { train, test } = await makeScenes(folder(), {
      sprites: sprites(),
      train: 20,
      test: 20,
      objects: [1, 1],
      scale: [0.5, 0.5],
    });
    const labels = new Set<string>();
    for (const [spec, ratio] of [
      [train, 2],
      [test, 0.5],
    ] as const) {
      const source = await openSource(spec);
      for (let index = 0; index < source.size; index += 1) {
        const [object] = (await source.read(index)).objects;
        expect(object!.box.width / object!.box.height).toBeCloseTo(ratio, 5);
        labels.add(source.classes[object!.label]!);
      }
    }
    expect(labels.size).toBeGreaterThan(6);
    expect(labels).toContain("Ankle boot");
  });

  test("an up-to-date folder stays, another's options replace it", async () => {
    const options = { sprites: sprites(), train: 3, test: 2 };
    expect((await makeScenes(folder(), options)).fresh).toBe(true);
    writeFileSync(join(folder(), "train/images/mark"), "");
    expect((await makeScenes(folder(), options)).fresh).toBe(false);
    expect(existsSync(join(folder(), "train/images/mark"))).toBe(true);
    expect((await makeScenes(folder(), { ...options, train: 4 })).fresh).toBe(true);
    expect(existsSync(join(folder(), "train/images/mark"))).toBe(false);
    expect(JSON.parse(readFileSync(join(folder(), "scenes.json"), "utf8"))).toMatchObject({
      train: 4,
      seed: 0,
      canvas: 64,
    });
  });

  test("a making that fails leaves nothing, and what a killed one left is swept away", async () => {
    const options = { sprites: sprites(), train: 5, test: 2 };
    mkdirSync(`${folder()}.partial-999999999/train`, { recursive: true });
    const stop = new Error("stop");
    const failing = makeScenes(folder(), options, (made) => {
      if (made === 3) throw stop;
    });
    await expect(failing).rejects.toBe(stop);
    expect(readdirSync(scratch())).toEqual(["sprites"]);
  });

  test("a folder that holds something else is not touched", async () => {
    mkdirSync(folder());
    writeFileSync(join(folder(), "thesis.txt"), "x");
    const made = makeScenes(folder(), { sprites: sprites(), train: 1, test: 1 });
    await expect(made).rejects.toThrow(
      new RunError(
        `${folder()} is no folder of scenes (it has no readable scenes.json); wanted a new folder. ` +
          "Nothing in it was touched",
      ),
    );
    expect(readdirSync(folder())).toEqual(["thesis.txt"]);
  });

  test.each([
    [{ canvas: 8 }, "scenes.canvas: got 8; wanted a whole number from 16 to 4096"],
    [{ objects: [5, 2] }, "scenes.objects: got [5,2]; wanted the lower number first"],
    [{ tint: 2 }, "scenes.tint: got 2; wanted a number from 0 to 1"],
    [{ train: -1 }, "scenes.train: got -1; wanted a whole number from 1 to 10000000"],
    [
      { objects: [9, 9], scale: [1, 1], minVisible: 1 },
      "scenes.objects: 9 objects of scale 1 to 1 do not fit into one scene with minVisible 1; " +
        "wanted fewer, smaller or more hidden ones",
    ],
  ] as const)("%j is refused", async (options, message) => {
    const made = makeScenes(folder(), { sprites: sprites(), train: 1, test: 1, ...options });
    await expect(made).rejects.toThrow(new ConfigError(message));
    expect(existsSync(folder())).toBe(false);
  });
});

describe("Fashion-MNIST", () => {
  test("a missing folder names the package", async () => {
    await expect(openFashionMnist("/nowhere")).rejects.toThrow(
      new DataError(
        "Fashion-MNIST: /nowhere/train-images-idx3-ubyte.gz is not there. On Debian and Ubuntu it " +
          "comes with: sudo apt-get install dataset-fashion-mnist",
      ),
    );
  });

  test.each([
    [Buffer.from("x"), "is no gzip file"],
    [gzipSync(Buffer.from([0, 0, 8, 3])), "is not an idx file of bytes [count, 28, 28]"],
    [gzipSync(Buffer.alloc(16 + 784)), "is not an idx file of bytes [count, 28, 28]"],
  ])("broken files are refused (%#)", async (bytes, message) => {
    writeFileSync(join(sprites().folder, "train-images-idx3-ubyte.gz"), bytes);
    await expect(openFashionMnist(sprites().folder)).rejects.toThrow(message);
  });

  test("a sprite is trimmed to its silhouette", async () => {
    const { train } = await openFashionMnist(sprites().folder);
    const sprite = await train.read(3);
    expect([sprite.width, sprite.height, sprite.label]).toEqual([20, 10, 3]);
    expect(new Set(sprite.rgba)).toEqual(new Set([255]));
  });
});

const shape = (rows: readonly string[]) => {
  const width = rows[0]!.length;
  const gray = Uint8Array.from(rows.join(""), (char) => (char === "#" ? 200 : 0));
  const mask = silhouette(gray, width, rows.length);
  return rows.map((_, y) =>
    [...mask.subarray(y * width, (y + 1) * width)].map((bit) => (bit ? "#" : ".")).join(""),
  );
};

describe("a silhouette", () => {
  test("fills what is enclosed, also where it touches the border", () => {
    const ring = ["########", "#......#", "#......#", "#......#", "#......#", "########"];
    expect(shape(ring)).toEqual(ring.map(() => "########"));
  });

  test("leaves a wide opening open, and the outside outside in every corner", () => {
    const arch = ["..####..", ".######.", "##....##", "##....##", "##....##", "##....##"];
    expect(shape(arch)).toEqual(arch);
  });

  test("closes a thin crack and drops a speck", () => {
    expect(
      shape(["###.####....", "###.####....", "########....", "########....", "...........#"]),
    ).toEqual(["########....", "########....", "########....", "########....", "............"]);
  });
});
