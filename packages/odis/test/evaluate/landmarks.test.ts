import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { openSource } from "../../src/data/dataset.js";
import { evaluate } from "../../src/evaluate/evaluate.js";
import { openLandmarks } from "../../src/evaluate/landmarks.js";
import { formatTable } from "../../src/report/table.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { scratchFolder, tinyCoco } from "./tiny-coco.js";

const folder = scratchFolder();
const images = join(folder, "jpg");
const fixture = (name: string): string =>
  new URL(`../fixtures/evaluation/${name}`, import.meta.url).pathname;
const truth = {
  imlist: ["a0", "a1", "b0", "b1", "b2"],
  qimlist: ["qa", "qb"],
  gnd: [
    { bbx: [4.5, 2, 40, 30.5], easy: [0], hard: [1], junk: [2] },
    { bbx: [0, 0, 48, 32], easy: [4, 3], hard: [2], junk: [] as number[] },
  ],
};

/** Noise round red or green: those of one letter show the same. */
beforeAll(async () => {
  mkdirSync(images);
  for (const name of [...truth.imlist, ...truth.qimlist]) {
    const rng = new Rng("landmarks", name);
    const main = name.includes("a") ? 0 : 1;
    const raw = { width: 48, height: 32, channels: 3 } as const;
    const rgb = Uint8Array.from(
      { length: 3 * 48 * 32 },
      (_, at) => rng.int(0, 99) + (at % 3 === main ? 150 : 0),
    );
    await sharp(rgb, { raw })
      .jpeg()
      .toFile(join(images, `${name}.jpg`));
  }
  writeFileSync(join(folder, "gnd_json.json"), JSON.stringify(truth));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What is said of a collection that cannot be opened. */
const complaint = (text: string): Promise<string> =>
  openLandmarks(text).then(
    () => "",
    (error: unknown) => (error as Error).message,
  );

describe("openLandmarks", () => {
  it.each([
    ["json", () => join(folder, "gnd_json.json")],
    ["lists", () => fixture("gnd_lists.pkl")],
    ["arrays", () => fixture("gnd_arrays.pkl")],
  ])("reads the same ground truth from %s", async (name, file) => {
    const found = await openLandmarks(`${images},${file()}`);
    expect({ ...found.truth, name: found.name }).toEqual({ ...truth, name });
    expect([found.gallery.size, found.queries.size]).toEqual([5, 2]);
    expect(found.gallery.key(3)).toBe("b1.jpg");
    const [asked] = (await found.queries.read(0)).objects;
    expect(asked!.box).toEqual({ x: 5, y: 2, width: 35, height: 29 });
    const [whole] = (await found.gallery.read(0)).objects;
    expect(whole!.area).toBe(48 * 32);
  });

  const withTruth = (change: object): string => {
    const file = join(folder, "gnd_odd.json");
    writeFileSync(file, JSON.stringify({ ...truth, ...change }));
    return `${images},${file}`;
  };

  it("says what is wrong, before anything runs", async () => {
    expect(await complaint("jpg")).toBe(
      'landmarks "jpg": wanted IMAGES,GROUND_TRUTH: a folder of pictures, and a .json or .pkl file',
    );
    expect(await complaint(`${images},${join(folder, "none.pkl")}`)).toMatch(
      /^landmarks' ground truth .*none\.pkl does not exist/,
    );
    expect(await complaint(withTruth({ imlist: ["a0", "c7", "c8", "b1", "b2"] }))).toMatch(
      /: 2 of 5 pictures of .*gnd_odd\.json are missing: c7, c8$/,
    );
    expect(await complaint(withTruth({ gnd: truth.gnd.slice(1) }))).toMatch(
      /: 1 answers for 2 queries among 5 pictures do not fit each other$/,
    );
    expect(
      await complaint(withTruth({ gnd: [{ ...truth.gnd[0], easy: [5] }, truth.gnd[1]] })),
    ).toMatch(/do not fit each other$/);
    expect(await complaint(withTruth({ gnd: [{ bbx: [1, 2] }] }))).toMatch(
      /: gnd\.0\.bbx: .*; wanted imlist, qimlist, and gnd with bbx, easy, hard and junk for each query$/,
    );
  });

  it("runs nothing that a pickle asks for", async () => {
    const file = join(folder, "attack.pkl");
    // os.system("touch owned"), as pickle.dumps writes it
    writeFileSync(file, Buffer.from(`cposix\nsystem\n(S'touch ${folder}/owned'\ntR.`));
    expect(await complaint(`${images},${file}`)).toMatch(
      /^landmarks' ground truth .*attack\.pkl: not a pickle of plain data: .*posix\.system/,
    );
  });
});

describe("the suite on landmarks", () => {
  const recipe = recipeSchema.parse({
    model: { dim: 16, depth: 1, heads: 2, patch: 8 },
    head: { hidden: 16, bottleneck: 8, prototypes: 8 },
    views: { globals: { size: 16 }, locals: { size: 16, count: 0 } },
  });

  it("finds the same again, in one size and in three, and shows it by its name", async () => {
    const [train, test] = await Promise.all([
      tinyCoco(join(folder, "train"), ["a.png", "b.png", "c.png"], 1).then(openSource),
      tinyCoco(join(folder, "test"), ["d.png"], 2).then(openSource),
    ]);
    for (const scales of [[1], [1, Math.SQRT1_2, 0.5]]) {
      const { evaluation } = await evaluate({
        recipe,
        train,
        test,
        suites: ["retrieval"],
        modes: ["none", "crop"],
        limit: 2, // of the bank; a ranking without some of the pictures would be another protocol
        retrieval: { landmarks: [`${images},${join(folder, "gnd_json.json")}`], scales },
      });
      const value = (name: string) =>
        evaluation.measurements.find((one) => one.name === name)!.value;
      for (const mode of ["none", "crop"]) {
        expect(value(`pixels/landmarks/json/${mode}/medium/map`)).toBe(1);
        expect(value(`pixels/landmarks/json/${mode}/hard/map`)).toBe(1);
        expect(value(`untrained/landmarks/json/${mode}/medium/precision1`)).toBeLessThanOrEqual(1);
      }
      expect(evaluation.train.images).toBe(2);
      expect(formatTable(evaluation, false)).toMatch(
        /landmarks json, mAP, per cent .*\n.*\nmedium, no mask +100\.0 .*\nmedium, cropped +100\.0/,
      );
    }
  });

  it("does not rank what it cannot read", async () => {
    const spoiled = join(folder, "spoiled");
    mkdirSync(spoiled);
    for (const name of [...truth.imlist, ...truth.qimlist])
      copyFileSync(join(images, `${name}.jpg`), join(spoiled, `${name}.jpg`));
    writeFileSync(join(spoiled, "b1.jpg"), "no picture");
    const data = await openSource(await tinyCoco(join(folder, "some"), ["a.png", "b.png"], 3));
    const other = await openSource(await tinyCoco(join(folder, "more"), ["c.png"], 4));
    const landmarks = [`${spoiled},${join(folder, "gnd_json.json")}`];
    await expect(
      evaluate({
        recipe,
        train: data,
        test: other,
        suites: ["retrieval"],
        retrieval: { landmarks },
      }),
    ).rejects.toThrow(
      /^landmarks json: 1 of 5 pictures cannot be used, the first of them b1\.jpg: /,
    );
  });
});
