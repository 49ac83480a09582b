import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { load, openSource, openStore, parseDataSpec, RunError, type Store } from "odis";
import { beforeAll, afterAll, describe, expect, it } from "vitest";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { rleToMask, parseRle } from "../../src/objects/index.js";
import { odis } from "../cli/odis.js";
import { expectClose } from "../close.js";
import { randomRun } from "../formats/random-run.js";

const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
let folder: string;
let run: string;
let data: string;
let out: string;

/** Photographs and their annotations, without those of some images. */
function library(name: string, without: readonly string[] = []): string {
  const place = join(folder, name);
  mkdirSync(place, { recursive: true });
  cpSync(join(photos, "images"), join(place, "images"), { recursive: true });
  const told = JSON.parse(readFileSync(join(photos, "instances.json"), "utf8"));
  const gone = new Set(
    told.images
      .filter((image: { file_name: string }) => without.includes(image.file_name))
      .map((image: { id: number }) => image.id),
  );
  told.images = told.images.filter((image: { id: number }) => !gone.has(image.id));
  told.annotations = told.annotations.filter(
    (object: { image_id: number }) => !gone.has(object.image_id),
  );
  writeFileSync(join(place, "instances.json"), JSON.stringify(told));
  return place;
}

const keysOf = (store: Store): readonly string[] =>
  Array.from({ length: store.size("images") }, (_, row) => store.image(row).key);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  run = randomRun(folder, "odis", views).path;
  data = library("photos");
  out = join(folder, "store");
  expect(odis(["embed", run, `coco:${data}`, "--out", out]).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a store", () => {
  it("holds each object that the network sees, with its mask, class and the teacher's own vector", async () => {
    const source = await openSource(parseDataSpec(`coco:${data}`));
    using teacher = load(run);
    using store = openStore(out);
    let row = 0;
    for (let at = 0; at < source.size; at += 1) {
      const sample = await source.read(at);
      expect(store.image(at)).toMatchObject({ row: at, key: sample.key, width: sample.width });
      expectClose(store.vector("images", at), [...teacher.features(sample)], {
        atol: 1e-4,
        rtol: 1e-4,
      });
      const seen = sample.objects.filter((object) => teacher.sees(sample, object));
      expect(store.objectsIn(at).map(({ id }) => id)).toEqual(seen.map(({ id }) => id));
      for (const object of seen) {
        const kept = store.object(row);
        expect(kept).toMatchObject({
          row,
          id: object.id,
          box: object.box,
          image: { key: sample.key },
        });
        expect(kept.class).toBe(source.classes[object.label]);
        expect(Buffer.from(kept.mask().pixels()).equals(object.pixels())).toBe(true);
        expectClose(store.vector("objects", row), [...teacher.features(sample, object)], {
          atol: 1e-4,
          rtol: 1e-4,
        });
        row += 1;
      }
    }
    expect(store.size("objects")).toBe(row);
  });

  it("is plain files: JSON lines whose run lengths are COCO's, and safetensors", () => {
    const [first] = readFileSync(join(out, "shards/000000.jsonl"), "utf8").split("\n");
    const { width, height, objects } = JSON.parse(first!);
    const rle = parseRle({ size: [height, width], counts: objects[0].rle }, width, height);
    const [x, y, w, h] = objects[0].box;
    const mask = rleToMask(rle);
    for (let at = 0; at < mask.length; at += 1)
      if (mask[at]) {
        expect(at % width >= x && at % width < x + w).toBe(true);
        expect(at / width >= y && at / width < y + h).toBe(true);
      }
  });

  it("finds what a plain sum over all vectors finds, and leaves out what is not wanted", () => {
    using store = openStore(out);
    const rows = Array.from({ length: store.size("objects") }, (_, row) =>
      store.vector("objects", row),
    );
    const cosine = (a: Float32Array, b: Float32Array) =>
      a.reduce((sum, value, at) => sum + value * b[at]!, 0) / Math.hypot(...a) / Math.hypot(...b);
    fc.assert(
      fc.property(
        fc
          .array(fc.double({ min: -1, max: 1, noNaN: true }), {
            minLength: store.model.width,
            maxLength: store.model.width,
          })
          .filter((values) => Math.hypot(...values) > 1e-3),
        fc.integer({ min: 1, max: 50 }),
        fc.subarray([0, 1, 2, 3, 4]),
        (values, top, without) => {
          const query = Float32Array.from(values);
          const wanted = rows
            .map((row, at) => ({ at, similarity: cosine(query, row) }))
            .filter(({ at }) => !without.includes(at))
            .toSorted((a, b) => b.similarity - a.similarity)
            .slice(0, top);
          const hits = store.search(query, { top, without });
          expectClose(
            hits.map(({ similarity }) => similarity),
            wanted.map(({ similarity }) => similarity),
            {
              atol: 1e-5,
              rtol: 0,
            },
          );
          for (const { row, similarity } of hits) {
            expect(without).not.toContain(row);
            expect(similarity).toBeCloseTo(cosine(query, rows[row]!), 4);
          }
          expect(new Set(hits.map(({ row }) => row)).size).toBe(hits.length);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("grows by what is new, also into the same bytes again, and drops what is gone when asked to", async () => {
    const names = readdirSync(join(photos, "images")).toSorted();
    const place = library("growing", names.slice(3));
    const grown = join(folder, "grown");
    const words = ["embed", run, `coco:${place}`, "--out", grown];
    expect(odis(words).stdout).toContain("3 images added");
    library("growing");
    using store = openStore(grown);
    expect(keysOf(store)).toEqual(names.slice(0, 3));
    expect(await store.add(`coco:${place}`)).toMatchObject({ finished: true, done: 3, dropped: 0 });
    expect(keysOf(store)).toEqual(names);
    const listed = () => readFileSync(join(grown, "store.json"), "utf8");
    const before = listed();
    expect(odis(words).stdout).toContain("0 images added");
    expect(listed()).toBe(before);

    const kept = Array.from(
      { length: store.size("objects") },
      (_, row) => [store.object(row).image.key, store.vector("objects", row)] as const,
    );
    library("growing", [names[1]!, names[4]!]);
    expect(odis(words).stdout).toContain("0 images added");
    expect(odis([...words, "--prune"]).stdout).toContain("2 images dropped");
    store.reopen();
    expect(keysOf(store)).toEqual(names.filter((_, at) => at !== 1 && at !== 4));
    const wanted = kept.filter(([key]) => key !== names[1] && key !== names[4]);
    expect(store.size("objects")).toBe(wanted.length);
    for (const [row, [key, vector]] of wanted.entries()) {
      expect(store.object(row).image.key).toBe(key);
      expect(store.vector("objects", row)).toEqual(vector);
    }
    expect(readdirSync(join(grown, "shards"))).toHaveLength(2 * JSON.parse(listed()).shards.length);
  });

  it("names an image that cannot be read, goes on, and does not try it again", () => {
    const place = library("broken");
    const [name] = readdirSync(join(place, "images"));
    writeFileSync(join(place, "images", name!), "no picture");
    const store = join(folder, "of-broken");
    const words = ["embed", run, `coco:${place}`, "--out", store];
    const first = odis(words);
    expect(first.code).toBe(0);
    expect(first.stderr).toContain(`image ${name}: `);
    expect(first.stdout).toContain("5 images added, 1 image could not be used");
    expect(odis(words).stdout).toContain("0 images added");
  });
});

describe("a store of another network", () => {
  it.each([
    ["other weights", () => randomRun(folder, "odis", views).path, []],
    ["another size", () => run, ["--size", "64"]],
    ["another frame", () => run, ["--frame", "center"]],
  ])("is refused by name: %s", (_, other, more) => {
    const path = other();
    const ended = odis(["embed", path, `coco:${data}`, "--out", out, ...more]);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain(`odis embed: store ${out}: its vectors are of ${run} (odis`);
    expect(ended.stderr).toContain(`got ${path} (odis`);
    expect(ended.stderr).toContain("embed into another folder");
  });

  it("says where a run was that has gone", () => {
    const moved = join(folder, "moved");
    cpSync(out, moved, { recursive: true });
    const list = join(moved, "store.json");
    writeFileSync(list, readFileSync(list, "utf8").replaceAll(run, "/nowhere/run"));
    const photo = join(data, "images", readdirSync(join(data, "images"))[0]!);
    const gone = odis(["search", moved, photo]);
    expect(gone.code).toBe(4);
    expect(gone.stderr).toBe(
      `odis search: store ${moved}: the run that made it is not at /nowhere/run any more. Say where it is: --run FOLDER\n`,
    );
    expect(odis(["search", moved, photo, "--run", run]).code).toBe(0);
  });
});

describe("what is no whole store", () => {
  it.each([
    [
      "nothing",
      (place: string) => rmSync(place, { recursive: true }),
      "does not exist. Make one: odis embed RUN PLACE --out",
    ],
    ["no list", (place: string) => rmSync(join(place, "store.json")), "holds no store.json"],
    [
      "another list",
      (place: string) => writeFileSync(join(place, "store.json"), "{}"),
      "is no list of a store of this release: odis: ",
    ],
    [
      "a cut table",
      (place: string) => writeFileSync(join(place, "shards/000000.jsonl"), ""),
      "holds 0 lines with 0 objects; wanted 6 with",
    ],
    [
      "a foreign line",
      (place: string) => {
        const file = join(place, "shards/000000.jsonl");
        writeFileSync(file, readFileSync(file, "utf8").replaceAll('"image":', '"picture":'));
      },
      "is no image of a store",
    ],
    [
      "torn vectors",
      (place: string) => writeFileSync(join(place, "shards/000000.safetensors"), "x"),
      "the file is torn",
    ],
  ])("is refused with a sentence: %s", (_, harm, said) => {
    const place = mkdtempSync(join(folder, "harmed-"));
    cpSync(out, place, { recursive: true });
    harm(place);
    const use = () => {
      using store = openStore(place);
      store.search(new Float32Array(store.model.width).fill(1));
    };
    expect(use).toThrow(said);
  });

  it("is not written over", () => {
    const place = mkdtempSync(join(folder, "other-"));
    writeFileSync(join(place, "thesis.txt"), "");
    const ended = odis(["embed", run, `coco:${data}`, "--out", place]);
    expect(ended.code).toBe(4);
    expect(ended.stderr).toContain(
      "the folder holds other things (thesis.txt); wanted a new or empty folder, or a store",
    );
  });
});

it("RunError is what a store throws", () => {
  expect(() => openStore(join(folder, "none"))).toThrow(RunError);
});
