import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { type DataSource, type DataSpec, openSource, type Sample } from "../../src/data/dataset.js";
import { evaluate } from "../../src/evaluate/evaluate.js";
import { openSplits, relabelled, subset } from "../../src/evaluate/splits.js";
import { formatTable } from "../../src/report/table.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { scratchFolder, tinyCoco } from "./tiny-coco.js";

const recipe = recipeSchema.parse({
  model: { dim: 16, depth: 1, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 8 },
  views: { globals: { size: 16 }, locals: { size: 16, count: 0 } },
});
const folder = scratchFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const keysOf = (source: DataSource): string[] =>
  Array.from({ length: source.size }, (_, index) => source.key(index));

describe("openSplits", () => {
  let spec: DataSpec;
  const names = Array.from({ length: 12 }, (_, i) => `a${i}.png`);
  beforeAll(async () => {
    spec = await tinyCoco(join(folder, "plain"), names, 1);
  });
  const splitKeys = async (): Promise<string[][]> => {
    const { train, test, moved } = await openSplits({ train: spec });
    expect(moved).toEqual([]);
    return [train, test].map(keysOf);
  };

  it("holds out the same fifth at every call and loses no image", async () => {
    const [bank, held] = await splitKeys();
    expect(await splitKeys()).toEqual([bank, held]);
    expect(held).toHaveLength(2);
    expect(new Set([...bank!, ...held!])).toEqual(new Set(names));
  });

  it("reads the images that it names", async () => {
    const source = await openSource(spec);
    const some = subset(source, [3, 1]);
    expect((await some.read(0)).key).toBe(some.key(0));
    expect(some.key(1)).toBe("a1.png");
  });
});

const classes = ["v", "w", "x", "y", "z"];

/**
 * Pictures of noise, each under two image ids, with one object that is all of it, of a class drawn
 * for each id: nobody can know it, but who has the other id's answer.
 *
 * @param copied whether the second id has a copy of the file under another name, or the same file
 */
async function twice(name: string, pictures: number, copied: boolean): Promise<DataSpec> {
  const images = join(folder, name, "images");
  mkdirSync(images, { recursive: true });
  const rng = new Rng("twice", name);
  const list: { id: number; file_name: string; width: number; height: number }[] = [];
  for (let i = 0; i < pictures; i += 1) {
    const raw = { width: 16, height: 16, channels: 3 } as const;
    const rgb = Uint8Array.from({ length: 3 * 256 }, () => rng.int(0, 255));
    const files = [`${i}.png`, copied ? `copy of ${i}.png` : `${i}.png`];
    await sharp(rgb, { raw }).png().toFile(join(images, files[0]!));
    if (copied) copyFileSync(join(images, files[0]!), join(images, files[1]!));
    for (const [at, file_name] of files.entries())
      list.push({ id: i + 1000 * at, file_name, width: 16, height: 16 });
  }
  // A picture's class is the same under both ids: a leak would be right every time.
  const annotations = list.map(({ id }) => ({
    id: id + 1,
    image_id: id,
    category_id: 1 + new Rng("class", name, id % 1000).int(0, 4),
    bbox: [0, 0, 16, 16],
    area: 256,
    iscrowd: 0,
  }));
  const categories = classes.map((one, index) => ({ id: index + 1, name: one }));
  const file = join(folder, name, "instances.json");
  writeFileSync(file, JSON.stringify({ images: list, annotations, categories }));
  return { kind: "coco", images, annotations: file } as const;
}

describe("one picture under two image ids", () => {
  it.each([false, true])("is never its own neighbour (copied files: %s)", async (copied) => {
    const train = await twice(`leak-${copied}`, 60, copied);
    const splits = await openSplits({ train });
    expect(splits.moved.length).toBeGreaterThan(0);
    expect(splits.train.size + splits.test.size).toBe(120);
    const number = (key: string): string => key.replace(/\D/g, "");
    const bank = new Set(keysOf(splits.train).map(number));
    expect(
      keysOf(splits.test)
        .map(number)
        .filter((key) => bank.has(key)),
    ).toEqual([]);
    // What was found out once is not found out again.
    const again = await openSplits({ train }, { moved: splits.moved });
    expect([again.train, again.test].map(keysOf)).toEqual([splits.train, splits.test].map(keysOf));

    const { evaluation } = await evaluate({
      train: splits.train,
      test: splits.test,
      recipe,
      k: [1],
      modes: ["crop"],
      suites: ["knn"],
    });
    const found = evaluation.measurements.find(
      ({ name }) => name === "pixels/object/crop/knn1/top1",
    );
    expect(found!.value).toBeLessThan(0.5); // chance is .2, and with the leak it is 1
    expect(evaluation.test.repeated).toHaveLength(splits.test.size / 2);
    expect(formatTable(evaluation, false).replace(/\s+/g, " ")).toMatch(
      /test: \d+ images with the picture of another one \(.*\.png = .*\.png.*\); kept, always on the same side/,
    );
  });

  it("is left out of the test where the bank has it, and told", async () => {
    const [train, other] = await Promise.all([
      twice("both", 20, false).then(openSource),
      twice("other", 5, false).then(openSource),
    ]);
    const mixed: DataSource = {
      size: 12,
      classes,
      key: (index) => (index < 2 ? train.key(index) : other.key(index - 2)),
      read: (index) => (index < 2 ? train.read(index) : other.read(index - 2)),
    };
    const { evaluation } = await evaluate({ recipe, train, test: mixed, k: [1], modes: ["crop"] });
    expect(evaluation.test).toMatchObject({ images: 12, objects: 10 });
    expect(formatTable(evaluation, false)).toContain(
      "left out of test: 2 images whose picture is in the other data, too (0.png = 0.png, 0.png = 0.png)",
    );
    await expect(evaluate({ recipe, train, test: train })).rejects.toThrow(
      "evaluation: the test data has no object to work with: 40 images read, 0 unreadable, " +
        "40 that are in the train data, too, 0 objects without a class",
    );
  });
});

describe("classes", () => {
  const sample: Sample = {
    key: "s",
    width: 2,
    height: 1,
    rgb: new Uint8Array(6),
    objects: [0, 1, 2, -1].map((label, id) => ({
      id,
      label,
      area: 1,
      box: { x: 0, y: 0, width: 1, height: 1 },
      pixels: () => Uint8Array.of(1, 0),
    })),
  };
  const source = (names: readonly string[]): DataSource => ({
    size: 1,
    classes: names,
    key: () => "s",
    read: () => Promise.resolve(sample),
  });

  it("are matched by their names, whatever their order; unknown ones are named", async () => {
    const found = relabelled(source(["cat", "zebra", "dog"]), ["dog", "cat", "cow"]);
    expect(found.unknown).toEqual(["zebra"]);
    expect(found.source.classes).toEqual(["dog", "cat", "cow"]);
    const { objects } = await found.source.read(0);
    expect(objects.map(({ label }) => label)).toEqual([1, -1, 0, -1]);
    expect(objects[0]!.pixels()).toEqual(Uint8Array.of(1, 0));
  });

  it("that are the same, or the first of more, are left alone", () => {
    const test = source(["a", "b"]);
    expect(relabelled(test, ["a", "b", "c"]).source).toBe(test);
  });

  it("do not change what is measured when they are listed in another order", async () => {
    const [train, test] = await Promise.all(
      ["train", "test"].map(async (name, seed) =>
        openSource(await tinyCoco(join(folder, name), ["a.png", "b.png", "c.png"], seed)),
      ),
    );
    const swapped: DataSource = {
      size: test!.size,
      classes: ["triangle", "unicorn", "rectangle"],
      key: (index) => test!.key(index),
      read: async (index) => {
        const read = await test!.read(index);
        const objects = read.objects.map((object) => ({
          ...object,
          label: object.label === 0 ? 2 : 0,
          pixels: () => object.pixels(),
        }));
        return { ...read, objects };
      },
    };
    const common = { recipe, train: train!, k: [1], modes: ["mask"] } as const;
    const plain = await evaluate({ ...common, test: test! });
    const other = await evaluate({ ...common, test: swapped });
    expect(other.evaluation.measurements).toEqual(plain.evaluation.measurements);
    expect(formatTable(other.evaluation, false)).toContain(
      "classes of test that train does not have: unicorn; their objects are left out, as without a class",
    );
  });
});
