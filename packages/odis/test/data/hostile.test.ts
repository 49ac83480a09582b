import { execFileSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { deflateSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DataSpec, openSource, parseDataSpec } from "../../src/data/dataset.js";
import { BadImageError, OdisError } from "../../src/core/errors.js";
import { scratchFolder } from "../scratch.js";
import { formats } from "./formats.js";

const scratch = scratchFolder();

/** Longest sentence about a stranger's file: it may name three mistakes. */
const SENTENCE = 3000;

/** Every kind with a fixture, and the files of it that a parser reads. */
const kinds: readonly { folder: string; more?: string; files: RegExp }[] = [
  { folder: "coco-instances", files: /instances\.json$/ },
  { folder: "coco-panoptic", files: /panoptic\.(json)$|panoptic\/.*\.png$/ },
  { folder: "lvis", files: /lvis\.json$/ },
  { folder: "coco-results", files: /results\.json$/ },
  { folder: "voc", files: /\.(xml|png)$/ },
  { folder: "yolo", files: /data\.yaml$|labels\/.*\.txt$/ },
  { folder: "open-images", files: /\.csv$|masks\/.*\.png$/ },
  { folder: "labelme", files: /\.json$/ },
  { folder: "cvat", files: /annotations\.xml$/ },
  { folder: "object-maps", more: "#values=objects", files: /masks\/.*\.png$/ },
  { folder: "class-maps", more: "#values=classes", files: /masks\/.*$/ },
  { folder: "imagenet", files: /\.xml$/ },
  { folder: "imagenet-s", files: /segmentation\/.*\.png$/ },
  { folder: "metadata", files: /metadata\.jsonl$/ },
  { folder: "shards", files: /\.(tar|txt)$/ },
  { folder: "shards-of-maps", files: /\.tar$/ },
];

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => statSync(join(folder, name)).isFile())
    .toSorted();
}

/** Opens and reads all of it. @returns the messages of what went wrong, each a sentence of ours */
async function tried(spec: DataSpec): Promise<string[]> {
  const messages: string[] = [];
  const note = (error: unknown) => {
    if (!(error instanceof OdisError)) throw error; // a stack trace on somebody's screen
    messages.push(error.message);
  };
  const source = await openSource(spec).catch(note);
  if (!source) return messages;
  for (let index = 0; index < source.size; index += 1) {
    const sample = await source.read(index).catch((error: unknown) => {
      if (!(error instanceof BadImageError)) throw error;
      note(error);
      return undefined;
    });
    for (const object of sample?.objects ?? [])
      expect(object.pixels()).toHaveLength(sample!.width * sample!.height);
  }
  return messages;
}

/** The same data set in a scratch folder, opened as the kind that the fixture is. */
function copyOf(folder: string, more = ""): { readonly place: string; readonly spec: DataSpec } {
  const place = join(scratch(), "data");
  rmSync(place, { recursive: true, force: true });
  cpSync(join(formats, folder), place, { recursive: true });
  return { place, spec: parseDataSpec(`${specText(folder, place)}${more}`) };
}

/** Before anything is changed: what the place is must not depend on what was done to it. */
function specText(folder: string, place: string): string {
  const { kind } = parseDataSpec(join(formats, folder));
  return `${kind}:${place}`;
}

function expectSentences(messages: readonly string[]): void {
  for (const message of messages) {
    expect(message.length).toBeLessThan(SENTENCE);
    expect(message).not.toMatch(/\[object Object\]|undefined|internal/);
    // oxlint-disable-next-line no-control-regex -- what would steer a terminal
    expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  }
}

describe("changed at any byte: a sentence, or data; no hang, no stack trace", () => {
  test.each(kinds)("$folder", async ({ folder, more, files }) => {
    const names = filesBelow(join(formats, folder)).filter((name) => files.test(name));
    expect(names.length).toBeGreaterThan(0);
    const changes = fc.record({
      file: fc.constantFrom(...names),
      cut: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 2 }),
      put: fc.array(
        fc.tuple(
          fc.double({ min: 0, max: 0.999999, noNaN: true }),
          fc.oneof(
            fc.uint8Array({ maxLength: 4 }),
            fc
              .constantFrom(
                "{",
                "[",
                "]",
                "<",
                ">",
                '"',
                ",",
                "null",
                "NaN",
                "1e999",
                "-1",
                "../",
                "\u001b[2J",
              )
              .map((text) => Buffer.from(text)),
          ),
        ),
        { maxLength: 3 },
      ),
    });
    await fc.assert(
      fc.asyncProperty(changes, async ({ file, cut, put }) => {
        const { place, spec } = copyOf(folder, more);
        let bytes = readFileSync(join(place, file));
        if (cut !== null) bytes = bytes.subarray(0, Math.floor(cut * bytes.length));
        for (const [at, piece] of put) {
          const from = Math.floor(at * bytes.length);
          bytes = Buffer.concat([
            bytes.subarray(0, from),
            piece,
            bytes.subarray(from + piece.length),
          ]);
        }
        writeFileSync(join(place, file), bytes);
        const before = filesBelow(scratch());
        expectSentences(await tried(spec));
        expect(filesBelow(scratch())).toEqual(before); // nothing is written
      }),
      { numRuns: Number(process.env.FUZZ ?? 60) },
    );
  });
});

/** Every value of a JSON tree in turn replaced by others. */
function* replaced(value: unknown, others: readonly unknown[]): Generator {
  yield* others;
  if (Array.isArray(value)) {
    for (const [at, inner] of value.slice(0, 2).entries())
      for (const changed of replaced(inner, others)) yield value.with(at, changed);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      for (const changed of replaced(inner, others)) yield { ...value, [key]: changed };
      const { [key]: _, ...rest } = value as Record<string, unknown>;
      yield rest;
    }
  }
}

describe("wrong types at every level of the JSON formats", () => {
  const others = [
    null,
    true,
    -1,
    1e308,
    0.5,
    "",
    "../../x",
    [],
    {},
    [[]],
    { a: { b: [] } },
    "\u001b[31m",
  ];
  test.each([
    ["coco-instances", "instances.json"],
    ["coco-panoptic", "panoptic.json"],
    ["lvis", "lvis.json"],
    ["coco-results", "results.json"],
    ["labelme", "000000000143.json"],
  ])("%s", async (folder, file) => {
    const { place, spec } = copyOf(folder);
    const whole: unknown = JSON.parse(readFileSync(join(place, file), "utf8"));
    for (const changed of replaced(whole, others)) {
      writeFileSync(join(place, file), JSON.stringify(changed));
      expectSentences(await tried(spec));
    }
  });

  test("metadata", async () => {
    const { place, spec } = copyOf("metadata");
    const path = join(place, "train/metadata.jsonl");
    const [first, ...rest] = readFileSync(path, "utf8").trim().split("\n");
    for (const changed of replaced(JSON.parse(first!), others)) {
      writeFileSync(path, [JSON.stringify(changed), ...rest].join("\n"));
      expectSentences(await tried(spec));
    }
  });
});

describe("too much of anything", () => {
  const coco = (change: (file: Record<string, Record<string, unknown>[]>) => void): DataSpec => {
    const { place, spec } = copyOf("coco-instances");
    const path = join(place, "instances.json");
    const file: Record<string, Record<string, unknown>[]> = JSON.parse(readFileSync(path, "utf8"));
    change(file);
    writeFileSync(path, JSON.stringify(file));
    return spec;
  };

  test("ten million points in one outline", async () => {
    const points = Array.from({ length: 10_000_000 }, (_, at) => at % 31);
    const spec = coco(({ annotations }) => void (annotations![0]!.segmentation = [points, points]));
    const [message] = await tried(spec);
    expect(message).toContain("polygons: got 10000000 points; wanted at most 100000");
  });

  test("an outline that runs to and fro across a wide image", async () => {
    const zigzag = Array.from({ length: 200_000 }, (_, at) =>
      at % 2 === 1 ? 5 : at % 4 === 0 ? 0 : 48,
    );
    const spec = coco(({ annotations }) => void (annotations![0]!.segmentation = [zigzag]));
    expect((await tried(spec)).length).toBeLessThan(2);
  });

  test("an image of a million million pixels, on paper", async () => {
    const spec = coco(({ images }) => Object.assign(images![0]!, { width: 1e6, height: 1e6 }));
    const [message] = await tried(spec);
    expect(message).toContain("wanted 1000000 × 1000000, the size that its annotations refer to");
  });

  test("a PNG that claims gigabytes, and one that unpacks to them", async () => {
    const { place, spec } = copyOf("object-maps", "#values=objects");
    const path = join(place, "masks/000000000030.png");
    const chunk = (name: string, data: Buffer) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(data.length);
      return Buffer.concat([length, Buffer.from(name), data, Buffer.alloc(4)]);
    };
    const png = (width: number, height: number, pixels: Buffer) => {
      const header = Buffer.alloc(13);
      header.writeUInt32BE(width, 0);
      header.writeUInt32BE(height, 4);
      header[8] = 8;
      const signature = Buffer.from("89504e470d0a1a0a", "hex");
      const parts = [
        chunk("IHDR", header),
        chunk("IDAT", deflateSync(pixels)),
        chunk("IEND", Buffer.alloc(0)),
      ];
      return Buffer.concat([signature, ...parts]);
    };
    writeFileSync(path, png(60_000, 60_000, Buffer.alloc(1000)));
    expect((await tried(spec))[0]).toContain(
      "it has 60000 × 60000 pixels; at most 100000000 are read",
    );
    writeFileSync(path, png(48, 32, Buffer.alloc(200_000_000)));
    expect((await tried(spec))[0]).toContain("its label map cannot be decoded");
    cpSync(path, join(place, "images/000000000030.png")); // as a picture, too
    expectSentences(await tried(spec));
  });

  test("YAML that swells", async () => {
    const { place, spec } = copyOf("yolo");
    const levels = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (let at = 0; at < 12; at += 1) {
      const [name, before] = [String.fromCharCode(98 + at), String.fromCharCode(97 + at)];
      levels.push(`${name}: &${name} [${`*${before}, `.repeat(10)}x]`);
    }
    writeFileSync(
      join(place, "data.yaml"),
      `${levels.join("\n")}\ntrain: images/train\nnames: *m\n`,
    );
    const [message] = await tried(spec);
    expect(message).toMatch(/is not YAML: |"names" is /);
  });

  test("deep YAML, JSON and XML", async () => {
    const deep = 200_000;
    const yolo = copyOf("yolo");
    writeFileSync(join(yolo.place, "data.yaml"), `names: ${"[".repeat(deep)}${"]".repeat(deep)}\n`);
    expectSentences(await tried(yolo.spec));
    const labelme = copyOf("labelme");
    writeFileSync(join(labelme.place, "000000000030.json"), `{"shapes":${"[".repeat(deep)}`);
    expectSentences(await tried(labelme.spec));
    const cvat = copyOf("cvat");
    writeFileSync(join(cvat.place, "annotations.xml"), `<annotations>${"<image>".repeat(deep)}`);
    expectSentences(await tried(cvat.spec));
  });
});

describe("a way out of the folder is not taken", () => {
  const secret = () => join(scratch(), "secret.jpg");
  const traps: readonly [string, string, (text: string, way: string) => string][] = [
    ["coco-instances", "instances.json", (text, way) => text.replace("000000000030.jpg", way)],
    ["coco-panoptic", "panoptic.json", (text, way) => text.replace("000000000030.jpg", way)],
    [
      "lvis",
      "lvis.json",
      (text, way) => text.replace(/"coco_url": "[^"]*"/, `"file_name": "${way}"`),
    ],
    ["labelme", "000000000030.json", (text, way) => text.replace("000000000030.jpg", way)],
    ["cvat", "annotations.xml", (text, way) => text.replace("train/000000000030.jpg", way)],
    ["metadata", "train/metadata.jsonl", (text, way) => text.replace("000000000030.jpg", way)],
    ["yolo", "data.yaml", (text, way) => text.replace("train: images/train", `train: ${way}`)],
  ];
  test.each(traps)("%s", async (folder, file, change) => {
    for (const way of [
      `../../secret.jpg`,
      `../../../${scratch().split("/").at(-1)}/secret.jpg`,
      "ABSOLUTE",
    ]) {
      const { place, spec } = copyOf(folder);
      cpSync(join(formats, "photos/000000000030.jpg"), secret());
      const path = join(place, file);
      const depth = "../".repeat(relative(scratch(), place).split("/").length + 1);
      const out = way === "ABSOLUTE" ? secret() : way.replace("../../", depth);
      writeFileSync(path, change(readFileSync(path, "utf8"), out));
      const messages = await tried(spec);
      expectSentences(messages);
      expect(messages.join("\n")).toMatch(
        /leads out of|inside of|is not there|are not in the folder|missing/,
      );
    }
  });

  test.each(kinds)("links in $folder", async ({ folder, more, files }) => {
    const { place, spec } = copyOf(folder, more);
    for (const name of filesBelow(place).filter((file) => files.test(file))) {
      const target = join(scratch(), "outside", name.replaceAll("/", "_"));
      mkdirSync(join(scratch(), "outside"), { recursive: true });
      cpSync(join(place, name), target);
      rmSync(join(place, name));
      symlinkSync(target, join(place, name));
    }
    const messages = await tried(spec);
    // What the user named on the command line may be a link; what lies in the folder may not.
    const named = /instances|panoptic\.json|lvis|results\.json|annotations\.xml|data\.yaml/;
    const inner = filesBelow(place).filter((file) => files.test(file) && !named.test(file));
    if (inner.length > 0) expect(messages.join("\n")).toMatch(/is a link that leads out of/);
    expectSentences(messages);
  });

  test.each(kinds)("pipes in $folder", async ({ folder, more, files }) => {
    const { place, spec } = copyOf(folder, more);
    for (const name of filesBelow(place).filter((file) => files.test(file))) {
      rmSync(join(place, name));
      execFileSync("mkfifo", [join(place, name)]);
    }
    const messages = await tried(spec);
    expect(messages.join("\n")).toMatch(/is a pipe; wanted a regular file|there is no tar file/);
  });
});
