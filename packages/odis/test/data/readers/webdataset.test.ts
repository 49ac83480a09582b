import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { pack } from "tar-stream";
import { describe, expect, test } from "vitest";
import { archiveOrder, locate } from "../../../src/data/archive.js";
import { openSource, parseDataSpec } from "../../../src/data/dataset.js";
import type { PackedIndex } from "../../../src/data/packed-index.js";
import { expandBraces } from "../../../src/data/readers/webdataset.js";
import { readIndexFile, writeIndexFile } from "../../../src/data/shard-index.js";
import { walkTar } from "../../../src/data/tar.js";
import { BadImageError, ConfigError, DataError } from "../../../src/core/errors.js";
import { failure } from "../../failure.js";
import { scratchFolder } from "../../scratch.js";
import { formats, found, wanted } from "../formats.js";

const scratch = scratchFolder();
const place = (name: string) => join(formats, name);

describe("tar files as WebDataset has them", () => {
  test("objects in JSON members, old and extended headers", async () => {
    const spec = parseDataSpec(place("shards"));
    expect(spec).toEqual({ kind: "shards", place: place("shards") });
    const source = await openSource(spec);
    expect(source.summary).toBe("shards: 3 images, objects in the archives, 3 classes");
    expect(source.notes).toEqual(["left out: 1 sample without a picture"]);
    const objects = await found(spec);
    const outlines = wanted((picture) => (picture === "000000000092.jpg" ? "box" : "outline"));
    expect(objects).toEqual({
      "train-000.tar#0": outlines["000000000030.jpg"],
      "train-000.tar#1": outlines["000000000092.jpg"],
      "train-001.tar#0": outlines["000000000143.jpg"],
    });
  });

  test("a range of names, and one file", async () => {
    const range = parseDataSpec(`shards:${place("shards/train-{000..001}.tar")}`);
    expect(Object.keys(await found(range))).toHaveLength(3);
    const one = parseDataSpec(place("shards/train-001.tar"));
    expect(Object.keys(await found(one))).toEqual(["train-001.tar#0"]);
  });

  test("classes in members of their own: pictures as a whole", async () => {
    const source = await openSource(parseDataSpec(place("shards-of-classes")));
    expect(source.classes).toHaveLength(7);
    const labels = [];
    for (let index = 0; index < 3; index += 1) labels.push((await source.read(index)).objects);
    expect(labels).toMatchObject([0, 3, 6].map((label) => [{ label, area: 48 * 32 }]));
  });

  test("label maps", async () => {
    const objects = await found(parseDataSpec(place("shards-of-maps")));
    expect(Object.values(objects).map((list) => list.map(([, mask]) => mask))).toEqual(
      Object.values(wanted(() => "outline")).map((list) => list.map(([, mask]) => mask)),
    );
  });

  test("another thread reads the same", async () => {
    const source = await openSource(parseDataSpec(place("shards")));
    const again = await openSource(structuredClone(source.spec));
    expect((await again.read(2)).rgb).toEqual((await source.read(2)).rgb);
    expect(await again.picture!(2)).toBe(await source.picture!(2));
  });

  test.each([
    ["a-{08..11}.tar", ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]],
    ["{3..1}", ["3", "2", "1"]],
    ["{train,val}-{0..1}", ["train-0", "train-1", "val-0", "val-1"]],
    ["plain", ["plain"]],
  ])("%s expands as in a shell", (text, names) => {
    expect(expandBraces(text)).toEqual(names);
    const shell = execFileSync("bash", ["-c", `echo ${text}`], { encoding: "utf8" });
    expect(shell.trim().split(" ")).toEqual(names);
  });

  test("more files than there can be", () => {
    for (const text of ["{0..99999999}", "{0..999}{0..999}{0..999}"])
      expect(() => expandBraces(text)).toThrow(
        new ConfigError(`data shards:${text}: names more than 1000000 files`),
      );
  });
});

describe("walking through a tar file", () => {
  const name = fc.stringMatching(/^[a-zé]{1,8}(\/[a-z]{1,60}){0,4}\.(jpg|json|seg\.png)$/);
  const entries = fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 1500 })), { maxLength: 8 });

  test("finds what another program has put into it", async () => {
    await fc.assert(
      fc.asyncProperty(entries, async (members) => {
        const archive = pack();
        for (const [file, content] of members) archive.entry({ name: file }, Buffer.from(content));
        archive.finalize();
        const pieces: Buffer[] = [];
        for await (const piece of archive) pieces.push(piece as Buffer);
        const bytes = Buffer.concat(pieces);
        const walked = [
          ...walkTar(bytes.length, (from, size) => bytes.subarray(from, from + size)),
        ];
        expect(walked.map((member) => member.name)).toEqual(members.map(([file]) => file));
        for (const [at, member] of walked.entries())
          expect(bytes.subarray(member.from, member.from + member.size)).toEqual(
            Buffer.from(members[at]![1]),
          );
      }),
      { numRuns: 100 },
    );
  });

  test.each(["none", "12", "3 a", "7 a=bc\nrest", "6.5 a=b\n ", "-3 a=b\n", " a", "1e9 path=x\n"])(
    "an extended header of %j names nothing",
    (text) => {
      const header = (type: string, size: number): Buffer => {
        const block = Buffer.alloc(512);
        block.write("own.png", 0);
        block.write(`${size.toString(8).padStart(11, "0")}\0`, 124);
        block.write(`        ${type}`, 148);
        const sum = block.reduce((all, byte) => all + byte, 0);
        block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
        return block;
      };
      const contents = Buffer.alloc(512);
      contents.write(text);
      const bytes = Buffer.concat([header("x", text.length), contents, header("0", 0)]);
      const walked = [...walkTar(bytes.length, (at, count) => bytes.subarray(at, at + count))];
      expect(walked).toEqual([{ name: "own.png", start: 0, from: 1536, size: 0 }]);
    },
  );

  test("any bytes give members inside of the file or a sentence", () => {
    const whole = readFileSync(place("shards/train-001.tar"));
    const change = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(change, fc.nat(whole.length), (changes, length) => {
        const bytes = Buffer.from(whole.subarray(0, length));
        for (const [at, value] of changes) if (at < length) bytes[at] = value;
        try {
          for (const { from, size } of walkTar(length, (at, count) =>
            bytes.subarray(at, at + count),
          ))
            expect(from + size).toBeLessThanOrEqual(length);
        } catch (error) {
          expect((error as Error).name).toBe("FileProblem");
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["no tar file", Buffer.alloc(2048, "x"), "is no tar file: there is no header at byte 0"],
    [
      "a file that was cut off",
      readFileSync(place("shards/train-000.tar")).subarray(0, 1000),
      "is cut off: the entry at byte 0 has 821 bytes and the file ends after 488",
    ],
  ])("%s", async (_, bytes, message) => {
    writeFileSync(join(scratch(), "a.tar"), bytes);
    expect(await failure(openSource({ kind: "shards", place: scratch() }), DataError)).toBe(
      `shard ${join(scratch(), "a.tar")} ${message}`,
    );
  });

  test("an archive that was cut off since is skipped by name", async () => {
    cpSync(place("shards"), scratch(), { recursive: true });
    const source = await openSource({ kind: "shards", place: scratch() });
    truncateSync(join(scratch(), "train-001.tar"), 1024);
    expect(await failure(source.read(2), BadImageError)).toBe(
      "image train-001.tar#0: the archive train-001.tar ends after 1024 bytes; wanted 4608; if it was changed, start again",
    );
  });
});

describe("the order of an epoch", () => {
  /** Archives of these sizes. */
  const archives = (sizes: readonly number[]) => {
    let sum = 0;
    const ends = Float64Array.from(sizes, (size) => (sum += size));
    const starts = Uint32Array.from({ length: sum }, (_, at) => at);
    return { size: sum, paths: sizes.map((_, at) => String(at)), ends, starts, lasts: ends };
  };

  test("every sample once, whatever is asked first; another one in the next epoch", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 40 }), (sizes) => {
        const made = archives(sizes);
        const order = archiveOrder(made, 7, 3);
        const forth = Array.from({ length: made.size }, (_, at) => order.at(at));
        expect(forth.toSorted((a, b) => a - b)).toEqual([...forth.keys()]);
        const back = [...forth.keys()].toReversed().map((at) => archiveOrder(made, 7, 3).at(at));
        expect(back.toReversed()).toEqual(forth);
        if (made.size > 20)
          expect(forth).not.toEqual(forth.map((_, at) => archiveOrder(made, 7, 4).at(at)));
      }),
      { numRuns: 50 },
    );
  });

  test("eight archives at a time, well mixed", () => {
    const made = archives(Array.from({ length: 24 }, () => 100));
    const order = archiveOrder(made, 0, 0);
    const archiveAt = (position: number) => Math.floor(order.at(position) / 100);
    for (let group = 0; group < 3; group += 1) {
      const seen = new Set(Array.from({ length: 800 }, (_, at) => archiveAt(800 * group + at)));
      expect(seen.size).toBe(8);
      const soon = new Set(Array.from({ length: 64 }, (_, at) => archiveAt(800 * group + at)));
      expect(soon.size).toBe(8); // 64 draws without one of eight: once in 700 groups
    }
  });

  test("samples are found again by their numbers", () => {
    const made = archives([2, 0, 3]);
    expect([0, 1, 2, 4].map((sample) => locate(made, sample))).toEqual([
      { path: "0", place: 0, from: 0, length: 512 },
      { path: "0", place: 1, from: 512, length: 512 },
      { path: "2", place: 0, from: 1024, length: 512 },
      { path: "2", place: 2, from: 2048, length: 512 },
    ]);
  });
});

describe("an index beside the archives", () => {
  const files = ["train-000.tar", "train-001.tar"];
  const indexed = async () => {
    cpSync(place("shards"), scratch(), { recursive: true });
    const source = await openSource({ kind: "shards", place: scratch() });
    const { archives } = source.spec.index as PackedIndex;
    await writeIndexFile(scratch(), archives!, 0);
    return archives!;
  };

  test("says the same as walking through them", async () => {
    const walked = await indexed();
    const read = await readIndexFile(scratch(), files);
    expect(read).toEqual({ archives: walked, numbered: 0 });
    // It is what opens the data set: the archives' headers may be gone.
    const path = join(scratch(), "train-001.tar");
    writeFileSync(path, Buffer.alloc(readFileSync(path).length));
    expect((await openSource({ kind: "shards", place: scratch() })).size).toBe(3);
  });

  test("is passed over when the archives are others", async () => {
    await indexed();
    expect(await readIndexFile(scratch(), files.slice(1))).toBeUndefined();
    truncateSync(join(scratch(), "train-001.tar"), 3 * 512);
    expect(await readIndexFile(scratch(), files)).toBeUndefined();
  });

  test("is refused when it is damaged", async () => {
    await indexed();
    const path = join(scratch(), "shards.odis");
    const whole = readFileSync(path);
    const said = async (bytes: Buffer) => {
      writeFileSync(path, bytes);
      return readIndexFile(scratch(), files).then(
        () => "taken",
        (error: unknown) => (error as Error).message.replace(path, "INDEX"),
      );
    };
    const advice = "; delete it, and the archives are walked through instead";
    expect(await said(whole.subarray(0, -1))).toBe(
      `index INDEX has 19 bytes of numbers; wanted 20${advice}`,
    );
    expect(await said(Buffer.from("{}\n"))).toBe(
      `index INDEX is damaged, or of another release${advice}`,
    );
    const swapped = Buffer.from(whole);
    swapped.writeUInt32LE(9e6, whole.length - 4);
    expect(await said(swapped)).toBe(`index INDEX is damaged${advice}`);
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 0x55;
      expect(await said(changed)).toMatch(/^taken$|^index INDEX /);
    }
  });
});

test("an empty folder, and shards without pictures", async () => {
  mkdirSync(join(scratch(), "a"));
  expect(await failure(openSource({ kind: "shards", place: scratch() }), DataError)).toBe(
    `shards ${scratch()}: there is no tar file`,
  );
  writeFileSync(join(scratch(), "a.tar"), Buffer.alloc(1024));
  expect(await failure(openSource({ kind: "shards", place: scratch() }), DataError)).toBe(
    `shards ${scratch()}: no picture lies in the tar files`,
  );
  expect(readdirSync(scratch())).toEqual(["a", "a.tar"]); // nothing is written
});
