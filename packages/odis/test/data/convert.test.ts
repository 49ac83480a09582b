import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { describe, expect, test } from "vitest";
import { convert } from "../../src/data/convert.js";
import { type OpenSource, openSource, parseDataSpec, type Sample } from "../../src/data/dataset.js";
import { writers } from "../../src/data/writers/index.js";
import { ConfigError, DataError, RunError } from "../../src/core/errors.js";
import { Rng } from "../../src/core/rng.js";
import {
  objectFromBox,
  objectFromPixels,
  type SceneObject,
  objectsFromLabelMap,
} from "../../src/objects/index.js";
import { failure } from "../failure.js";
import { scratchFolder } from "../scratch.js";
import { viewsOf } from "./views.js";

const scratch = scratchFolder();
const photographs = parseDataSpec(`coco:${join(import.meta.dirname, "../fixtures/coco-6")}`);

/** What a format can say of these objects. */
const says: Readonly<Record<string, (sample: Sample) => readonly SceneObject[]>> = {
  coco: ({ objects }) => objects,
  lvis: ({ objects }) => objects,
  results: ({ objects }) => objects,
  yolo: ({ objects }) => objects, // its photographs' objects are single outlines
  labelme: ({ objects }) => objects,
  cvat: ({ objects }) => objects,
  "open-images": ({ objects }) => objects,
  shards: ({ objects }) => objects,
  metadata: (sample) =>
    sample.objects.map(({ box: { x, y, width, height }, label }) =>
      objectFromBox([x, y, width, height], sample, { label }),
    ),
  panoptic: painted,
  maps: (sample) => painted(sample).map((object) => ({ ...object, label: -1 })),
  voc: painted,
};

/** Objects over one another as a label map has them: each pixel is the smallest's, of equal ones the last's. */
function painted(sample: Sample): SceneObject[] {
  const values = new Uint16Array(sample.width * sample.height);
  const masks = sample.objects.map((object) => object.pixels());
  for (let pixel = 0; pixel < values.length; pixel += 1)
    for (const [at, { area }] of sample.objects.entries()) {
      const there = values[pixel]! - 1;
      if (masks[at]![pixel] && (there < 0 || area <= sample.objects[there]!.area))
        values[pixel] = at + 1;
    }
  const label = (value: number) => sample.objects[value - 1]!.label;
  return objectsFromLabelMap(values, sample, { label });
}

async function all(source: OpenSource): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let index = 0; index < source.size; index += 1) samples.push(await source.read(index));
  return samples;
}

describe("photographs converted into every format", () => {
  test.each(writers.map(({ kind }) => kind))(
    "%s: the same objects, and the same views",
    async (kind) => {
      const original = await openSource(photographs);
      const out = join(scratch(), "converted");
      const { images, objects, skipped } = await convert(original, { to: kind, out });
      expect({ images, objects, skipped }).toEqual({ images: 6, objects: 29, skipped: [] });
      const found = parseDataSpec(out);
      expect(found.kind).toBe(kind);
      const again = await openSource(kind === "maps" ? { ...found, values: "objects" } : found);
      const [wanted, got] = [await all(original), await all(again)];
      expect(got).toHaveLength(6);
      for (const [index, sample] of got.entries()) {
        const reference = { ...wanted[index]!, objects: says[kind]!(wanted[index]!) };
        expect(Buffer.from(sample.rgb).equals(Buffer.from(reference.rgb))).toBe(true);
        expect(sample.objects.map(({ area, box }) => ({ area, box }))).toEqual(
          reference.objects.map(({ area, box }) => ({ area, box })),
        );
        for (const [at, object] of sample.objects.entries()) {
          const mask = reference.objects[at]!.pixels();
          expect(Buffer.from(object.pixels()).equals(Buffer.from(mask))).toBe(true);
          if (kind === "results") continue; // classes are numbers there
          const name = original.classes[reference.objects[at]!.label];
          expect(again.classes[object.label]).toBe(name);
        }
        const seed = () => new Rng("views", 7, 0, index);
        expect(viewsOf(sample, seed())).toEqual(viewsOf(reference, seed()));
      }
    },
  );
});

test("parts, masks that cross, objects without a class, scores", async () => {
  const square = (x: number, y: number) =>
    Uint8Array.from({ length: 400 }, (_, at) =>
      Number(
        at % 20 >= x && at % 20 < x + 8 && Math.floor(at / 20) >= y && Math.floor(at / 20) < y + 8,
      ),
    );
  const frame = { width: 20, height: 20 };
  const objects = [
    objectFromPixels(square(2, 2), frame, { id: 0, label: 1, score: 0.25 }),
    objectFromPixels(square(6, 6), frame, { id: 1, label: -1 }),
  ];
  const rgb = new Uint8Array(1200).fill(77);
  const source = {
    ...(await openSource(photographs)),
    size: 1,
    classes: ["a & b", 'c"d'],
    key: () => "strange/näme 1",
    read: async () => ({ key: "strange/näme 1", ...frame, rgb, objects }),
    file: async () =>
      sharp(rgb, { raw: { ...frame, channels: 3 } })
        .png()
        .toBuffer(),
  };
  for (const kind of ["coco", "labelme", "cvat", "open-images", "shards", "results"]) {
    const out = join(scratch(), kind);
    expect((await convert(source, { to: kind, out })).notes).toEqual([]);
    const again = await openSource(parseDataSpec(out));
    const { objects: found } = await again.read(0);
    expect(found.map((object) => object.pixels())).toEqual([square(2, 2), square(6, 6)]);
    if (kind !== "results")
      expect(found.map(({ label }) => again.classes[label])).toEqual(['c"d', "object"]);
    if (["shards", "results"].includes(kind)) expect(found[0]!.score).toBe(0.25);
  }
  const yolo = await convert(source, { to: "yolo", out: join(scratch(), "yolo") });
  expect(yolo.notes).toEqual([]); // both are their boxes
  const maps = await convert(source, { to: "maps", out: join(scratch(), "maps") });
  expect(maps.notes).toEqual([
    "16 pixels belong to several objects; a label map gives them to the smallest: 1 object is partly covered",
  ]);
});

test.each(["voc", "maps", "panoptic"])(
  "%s: small objects lie on top of large ones",
  async (kind) => {
    const frame = { width: 20, height: 20 };
    const box = (x: number, y: number, width: number, height: number, id: number) =>
      objectFromBox([x, y, width, height], frame, { id, label: 0 });
    // Small, then the whole picture, then the two halves of a fourth, which has nothing left.
    const objects = [
      box(2, 2, 3, 3, 0),
      box(0, 0, 20, 20, 1),
      box(10, 10, 6, 4, 2),
      box(10, 10, 3, 4, 3),
      box(13, 10, 3, 4, 4),
    ];
    const rgb = new Uint8Array(1200).fill(77);
    const source = {
      ...(await openSource(photographs)),
      size: 1,
      classes: ["thing"],
      key: () => "a.png",
      read: async () => ({ key: "a.png", ...frame, rgb, objects }),
      file: async () =>
        sharp(rgb, { raw: { ...frame, channels: 3 } })
          .png()
          .toBuffer(),
    };
    const out = join(scratch(), kind);
    const { notes } = await convert(source, { to: kind, out });
    expect(notes).toEqual([
      "57 pixels belong to several objects; a label map gives them to the smallest: 1 object is partly covered, " +
        "1 covered as a whole, left out",
    ]);
    const spec = parseDataSpec(out);
    const again = await openSource(kind === "maps" ? { ...spec, values: "objects" } : spec);
    const { objects: found } = await again.read(0);
    expect(found.map(({ area }) => area)).toEqual([9, 400 - 9 - 24, 12, 12]);
  },
);

test("a picture whose pixels its file does not say is written anew", async () => {
  const turned = join(scratch(), "photos");
  mkdirSync(turned);
  const halves = Buffer.alloc(3 * 16 * 8);
  halves.fill(200, 0, 3 * 16 * 4);
  await sharp(halves, { raw: { width: 16, height: 8, channels: 3 } })
    .jpeg()
    .withMetadata({ orientation: 6 })
    .toFile(join(turned, "a.jpg"));
  const source = await openSource(parseDataSpec(`folder:${turned}#exif=turned`));
  const out = join(scratch(), "out");
  await convert(source, { to: "coco", out });
  expect(readdirSync(join(out, "images"))).toEqual(["a.png"]);
  const again = await openSource(parseDataSpec(out));
  const [before, after] = [await source.read(0), await again.read(0)];
  expect([after.width, after.height]).toEqual([8, 16]);
  expect(Buffer.from(after.rgb).equals(Buffer.from(before.rgb))).toBe(true);
});

describe("nothing is overwritten, and nothing is left half", () => {
  test("a folder that holds something, an unknown format", async () => {
    const source = await openSource(photographs);
    writeFileSync(join(scratch(), "mine.txt"), "mine");
    expect(await failure(convert(source, { to: "coco", out: scratch() }), RunError)).toBe(
      `${scratch()}: holds something already (mine.txt); wanted a new or an empty folder`,
    );
    const out = join(scratch(), "new");
    expect(await failure(convert(source, { to: "xml", out }), ConfigError)).toBe(
      'data cannot be written as "xml"; wanted one of coco, panoptic, lvis, results, voc, yolo, open-images, ' +
        "labelme, cvat, maps, metadata, shards",
    );
    expect(readFileSync(join(scratch(), "mine.txt"), "utf8")).toBe("mine");
  });

  test("when it is stopped, and when no picture can be read", async () => {
    const source = await openSource(photographs);
    const out = join(scratch(), "out");
    const stop = new AbortController();
    const onProgress = (done: number) => done === 2 && stop.abort(new DataError("stopped"));
    const options = { to: "coco", out, signal: stop.signal, onProgress };
    expect(await failure(convert(source, options), DataError)).toBe("stopped");
    expect(readdirSync(scratch())).toEqual([]);
    mkdirSync(join(scratch(), "bad"));
    writeFileSync(join(scratch(), "bad/a.png"), "no picture");
    const bad = await openSource(parseDataSpec(join(scratch(), "bad")));
    expect(await failure(convert(bad, { to: "coco", out }), DataError)).toMatch(
      /^none of 1 images can be read: cannot be decoded/,
    );
    expect(existsSync(out)).toBe(false);
  });
});

test("shards are cut at their size", async () => {
  const source = await openSource(photographs);
  const out = join(scratch(), "out");
  await convert(source, { to: "shards", out, shardBytes: 150_000 });
  expect(readdirSync(out)).toEqual([
    "000000.tar",
    "000001.tar",
    "000002.tar",
    "classes.txt",
    "shards.odis",
  ]);
  expect((await openSource(parseDataSpec(out))).size).toBe(6);
});
