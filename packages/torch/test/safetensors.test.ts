import {
  appendFileSync,
  closeSync,
  copyFileSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { arrayOf, type DType } from "../src/dtype.js";
import {
  openSafetensors,
  readSafetensors,
  SafetensorsError,
  type TensorEntry,
  writeSafetensors,
} from "../src/safetensors.js";

const reference = new URL("../../odis/test/reference/", import.meta.url).pathname;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "safetensors-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with this header text and so many zero bytes behind it. */
function craft(header: string, dataBytes = 0, headerLength = Buffer.byteLength(header)): string {
  const path = join(folder, "crafted.safetensors");
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(headerLength));
  writeFileSync(path, Buffer.concat([prefix, Buffer.from(header), Buffer.alloc(dataBytes)]));
  return path;
}

const entry = (shape: readonly number[], begin: number, end: number, dtype = "F32"): string =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

function failure(action: () => unknown): SafetensorsError {
  try {
    action();
  } catch (error) {
    if (error instanceof SafetensorsError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
const message = (action: () => unknown): string => failure(action).message;

describe("reading the published implementation's files", () => {
  it("agrees with the index that was written beside each of them", () => {
    for (const file of readdirSync(reference).filter((name) => name.endsWith(".safetensors"))) {
      const index: { tensors: Record<string, [dtype: string, shape: number[]]> } = JSON.parse(
        readFileSync(join(reference, file.replace(".safetensors", ".json")), "utf8"),
      );
      const read = readSafetensors(join(reference, file));
      expect([...read.keys()].toSorted()).toEqual(Object.keys(index.tensors).toSorted());
      for (const [name, { dtype, shape, data }] of read) {
        expect([dtype, shape]).toEqual(index.tensors[name]);
        expect(data.length).toBe(shape.reduce((product, side) => product * side, 1));
      }
    }
  });

  it("reads values: nearest neighbours are indices, probabilities sum to one", () => {
    using knn = openSafetensors(join(reference, "knn.safetensors"));
    expect(knn.info("neighbors_k10")).toEqual({ dtype: "int64", shape: [150, 10] });
    const neighbours = knn.read("neighbors_k10");
    expect(neighbours).toBeInstanceOf(BigInt64Array);
    expect([...neighbours].every((index) => index >= 0 && index < 400)).toBe(true);
    const first = [...knn.read("test_features").subarray(0, 16)].map(Number);
    expect(Math.hypot(...first)).toBeCloseTo(1, 5);
  });
});

const dtypes: readonly DType[] = [
  "float32",
  "float64",
  "float16",
  "bfloat16",
  "int64",
  "int32",
  "uint8",
  "bool",
];

describe("writing", () => {
  const anyTensor = fc
    .tuple(fc.constantFrom(...dtypes), fc.array(fc.nat(4), { maxLength: 4 }), fc.integer())
    .map(([dtype, shape, seed]) => {
      const bytes = new Uint8Array(
        shape.reduce((product, side) => product * side, 1) * arrayOf[dtype].BYTES_PER_ELEMENT,
      ).map((_, index) => (index * 31 + seed) & 0xff);
      return { dtype, shape, data: new arrayOf[dtype](bytes.buffer) };
    });

  it("gives back every tensor and every text", () => {
    const path = join(folder, "trip.safetensors");
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
          anyTensor,
        ),
        fc.dictionary(fc.string(), fc.string({ unit: "grapheme" })),
        (tensors, metadata) => {
          const entries = Object.entries(tensors).map(([name, { dtype, shape, data }]) => ({
            name,
            dtype,
            shape,
            data: () => data,
          }));
          const { bytes, sha256 } = writeSafetensors(path, entries, metadata);
          const written = readFileSync(path);
          expect(bytes).toBe(written.length);
          expect(sha256).toBe(createHash("sha256").update(written).digest("hex"));
          using file = openSafetensors(path);
          expect({ ...file.metadata }).toEqual({ ...metadata });
          expect(file.names.toSorted()).toEqual(Object.keys(tensors).toSorted());
          for (const { name, dtype, shape, data } of entries) {
            expect(file.info(name)).toEqual({ dtype, shape });
            const wanted = data();
            const got = file.read(name);
            expect(got.constructor).toBe(wanted.constructor);
            // Bytes, not values: NaNs keep their payload too.
            expect(Buffer.from(got.buffer)).toEqual(Buffer.from(wanted.buffer));
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it("aligns data to 8 bytes and lays wide elements before narrow ones", () => {
    const path = join(folder, "aligned.safetensors");
    writeSafetensors(path, [
      { name: "odd", dtype: "uint8", shape: [3], data: () => new Uint8Array(3) },
      { name: "wide", dtype: "int64", shape: [1], data: () => new BigInt64Array(1) },
      { name: "mid", dtype: "float32", shape: [], data: () => new Float32Array(1) },
    ]);
    expect(Number(readFileSync(path).readBigUInt64LE(0)) % 8).toBe(0);
    using file = openSafetensors(path);
    expect(file.names).toEqual(["wide", "mid", "odd"]);
  });

  it("asks for one tensor at a time, in the order of the file", () => {
    const order: string[] = [];
    const entries = ["b", "a", "c"].map(
      (name): TensorEntry => ({
        name,
        dtype: "float32",
        shape: [2],
        data: () => {
          order.push(name);
          return new Float32Array(2);
        },
      }),
    );
    writeSafetensors(join(folder, "order.safetensors"), entries);
    expect(order).toEqual(["b", "a", "c"]);
  });

  it("writes a view's own elements, not the memory around it", () => {
    const path = join(folder, "view.safetensors");
    const around = Float32Array.of(1, 2, 3, 4);
    writeSafetensors(path, [
      { name: "x", dtype: "float32", shape: [2], data: () => around.subarray(1, 3) },
    ]);
    expect(readSafetensors(path).get("x")?.data).toEqual(Float32Array.of(2, 3));
  });

  it("leaves the older file whole, and nothing beside it, when a tensor is impossible", () => {
    const inner = join(folder, "inner");
    mkdirSync(inner);
    const path = join(inner, "kept.safetensors");
    const good: TensorEntry = {
      name: "x",
      dtype: "float32",
      shape: [2],
      data: () => Float32Array.of(7, 8),
    };
    writeSafetensors(path, [good]);
    const before = readFileSync(path);
    expect(message(() => writeSafetensors(path, [good, { ...good, name: "y", shape: [3] }]))).toBe(
      `${path}: tensor "y": got Float32Array of 2, wanted Float32Array of 3 for float32 of shape [3].`,
    );
    expect(message(() => writeSafetensors(path, [{ ...good, dtype: "int64" }]))).toContain(
      "got Float32Array of 2, wanted BigInt64Array of 2 for int64",
    );
    expect(message(() => writeSafetensors(path, [good, good]))).toBe(
      `${path}: tensor "x" is given twice.`,
    );
    expect(message(() => writeSafetensors(path, [{ ...good, name: "__metadata__" }]))).toContain(
      "this name is the format's own",
    );
    expect(message(() => writeSafetensors(path, [{ ...good, shape: [-1] }]))).toContain(
      "has shape [-1], wanted sizes from 0 up",
    );
    const thrown = new Error("from the tensor");
    expect(() =>
      writeSafetensors(path, [
        {
          ...good,
          data: () => {
            throw thrown;
          },
        },
      ]),
    ).toThrow(thrown);
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(inner)).toEqual(["kept.safetensors"]);
  });

  it("names the file and keeps the cause when the file system refuses", () => {
    const path = join(folder, "nowhere", "x.safetensors");
    const thrown = failure(() => writeSafetensors(path, []));
    expect(thrown.message).toMatch(/nowhere\/x\.safetensors: cannot be written: ENOENT/);
    expect(thrown.cause).toMatchObject({ code: "ENOENT" });
  });
});

describe("files that are torn or foreign", () => {
  it("refuses a real file cut at any byte that matters", () => {
    const whole = join(reference, "head.safetensors");
    const size = statSync(whole).size;
    const header = Number(readFileSync(whole).readBigUInt64LE(0));
    const path = join(folder, "cut.safetensors");
    copyFileSync(whole, path);
    using file = openSafetensors(whole);
    const headerEnd = 8 + header;
    let end = headerEnd;
    const boundaries = file.names.map((name) => (end += file.read(name).byteLength));
    expect(end).toBe(size);
    const cuts = [headerEnd, ...boundaries].flatMap((at) => [at - 1, at, at + 1]);
    for (const cut of [...cuts, 100, 9, 8, 7, 1, 0]
      .filter((at) => at < size)
      .toSorted((a, b) => b - a)) {
      truncateSync(path, cut);
      expect(message(() => openSafetensors(path))).toMatch(/the file is torn/);
    }
  });

  it("refuses one byte too many", () => {
    const path = craft(`{"x":${entry([1], 0, 4)}}`, 4);
    expect(openSafetensors(path).names).toEqual(["x"]);
    appendFileSync(path, "!");
    expect(message(() => openSafetensors(path))).toContain(
      "the file has 1 bytes after its last tensor",
    );
  });

  it.each([
    [
      "absurd length",
      "{}",
      0,
      2 ** 52,
      /its header has 4503599627370496 bytes; 100000000 is the limit/,
    ],
    ["longer than file", "{}", 0, 3, /holds 2 of 3 header bytes/],
    [
      "not JSON",
      "PK\u0003\u0004",
      0,
      undefined,
      /the header of 4 bytes is not JSON text\. This is not/,
    ],
    ["empty", "", 0, undefined, /the header of 0 bytes is not JSON text/],
    ["a list", "[1]", 0, undefined, /the header is \[1\], wanted an object of tensors/],
    ["null", "null", 0, undefined, /the header is null/],
    ["a number as tensor", '{"x":3}', 0, undefined, /tensor "x" is 3, wanted an object/],
    [
      "duplicate",
      `{"x":${entry([1], 0, 4)}, "x" :${entry([1], 4, 8)}}`,
      8,
      undefined,
      /names "x" twice/,
    ],
    [
      "escaped duplicate",
      `{"x":${entry([1], 0, 4)},"\\u0078":${entry([1], 4, 8)}}`,
      8,
      undefined,
      /names "x" twice/,
    ],
    [
      "dtype",
      `{"x":${entry([1], 0, 4, "Q4")}}`,
      4,
      undefined,
      /tensor "x" has dtype "Q4", wanted one of F32, F64, F16, BF16, I64, I32, U8, BOOL/,
    ],
    ["no dtype", '{"x":{}}', 0, undefined, /tensor "x" has dtype undefined/],
    [
      "negative size",
      `{"x":${entry([-1], 0, 4)}}`,
      4,
      undefined,
      /has shape \[-1\], wanted a list of sizes/,
    ],
    ["fraction", `{"x":${entry([0.5], 0, 2)}}`, 2, undefined, /has shape \[0.5\]/],
    [
      "overflow",
      `{"x":${entry([2 ** 52, 2 ** 52], 0, 4)}}`,
      4,
      undefined,
      /has 4 bytes .* wanted 8\.11.*e\+31/,
    ],
    [
      "wrong size",
      `{"x":${entry([2], 0, 4)}}`,
      4,
      undefined,
      /tensor "x" has 4 bytes \(data_offsets \[0, 4\]\), wanted 8 for F32 of shape \[2\]/,
    ],
    ["backwards", `{"x":${entry([1], 4, 0)}}`, 4, undefined, /has -4 bytes/],
    [
      "three offsets",
      '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}',
      0,
      undefined,
      /wanted \[begin, end\]/,
    ],
    [
      "overlap",
      `{"x":${entry([2], 0, 8)},"y":${entry([1], 4, 8)}}`,
      8,
      undefined,
      /tensor "y" starts at data byte 4, wanted 8/,
    ],
    [
      "hole",
      `{"x":${entry([1], 0, 4)},"y":${entry([1], 8, 12)}}`,
      12,
      undefined,
      /tensor "y" starts at data byte 8, wanted 4: tensors must neither overlap nor leave holes/,
    ],
    ["late start", `{"x":${entry([1], 4, 8)}}`, 8, undefined, /starts at data byte 4, wanted 0/],
    [
      "metadata",
      '{"__metadata__":{"a":1}}',
      0,
      undefined,
      /__metadata__ is {"a":1}, wanted an object of texts/,
    ],
  ])("refuses: %s", (_, header, dataBytes, length, wanted) => {
    const path = craft(header, dataBytes, length);
    const text = message(() => openSafetensors(path));
    expect(text.startsWith(`${path}: `)).toBe(true);
    expect(text).toMatch(wanted);
  });

  it("refuses bytes that are not UTF-8", () => {
    const path = craft('{"\u00ff":0}');
    const bytes = readFileSync(path);
    bytes[10] = 0xff;
    writeFileSync(path, bytes);
    expect(message(() => openSafetensors(path))).toContain("is not JSON text");
  });

  it("never reads, crashes or hangs on random bytes", () => {
    const path = join(folder, "noise");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        writeFileSync(path, bytes);
        expect(message(() => openSafetensors(path)).length).toBeGreaterThan(20);
      }),
      { numRuns: 200 },
    );
  });

  it("refuses a missing file, a folder, an unknown name and a read after close", () => {
    expect(message(() => openSafetensors(join(folder, "none")))).toMatch(
      /none: cannot be opened: no such file/,
    );
    expect(message(() => openSafetensors(folder))).toBe(`${folder}: is not a file.`);
    const file = openSafetensors(craft(`{"x":${entry([1], 0, 4)}}`, 4));
    expect(message(() => file.info("y"))).toMatch(/no tensor "y"\. The file has 1: x\./);
    file.close();
    file.close();
    expect(message(() => file.read("x"))).toMatch(/read of "x" after close\(\)/);
  });

  it("says so when the file shrinks while it is open", () => {
    const path = craft(`{"x":${entry([4], 0, 16)}}`, 16);
    using file = openSafetensors(path);
    truncateSync(path, statSync(path).size - 10);
    expect(message(() => file.read("x"))).toMatch(
      /shrank .* tensor "x" of shape \[4\] ends after 6 of 16/,
    );
  });

  it("accepts hostile but valid names, and keeps them apart", () => {
    const names = ["__proto__", "constructor", "0", "../x", 'a"b\\', "{", ":"];
    const path = join(folder, "names.safetensors");
    writeSafetensors(
      path,
      names.map((name, index) => ({
        name,
        dtype: "int32",
        shape: [],
        data: () => Int32Array.of(index),
      })),
    );
    const read = readSafetensors(path);
    expect(names.map((name) => read.get(name)?.data[0])).toEqual(names.map((_, index) => index));
  });
});

describe("large files", () => {
  it("reads a tensor that lies beyond 2^31 bytes, and only that one", () => {
    const path = join(folder, "large.safetensors");
    const ballast = 2 ** 31 + 2 ** 29; // 2.5 GiB, sparse on the disk
    const header = `{"ballast":${entry([ballast], 0, ballast, "U8")},"x":${entry([3], ballast, ballast + 12)}}`;
    const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(padded.length));
    const descriptor = openSync(path, "w");
    writeSync(descriptor, Buffer.concat([prefix, Buffer.from(padded)]));
    const start = 8 + padded.length + ballast;
    ftruncateSync(descriptor, start);
    writeSync(descriptor, new Uint8Array(Float32Array.of(1.5, -2, 3).buffer), 0, 12, start);
    closeSync(descriptor);
    using file = openSafetensors(path);
    expect(file.info("ballast").shape).toEqual([ballast]);
    expect(file.read("x")).toEqual(Float32Array.of(1.5, -2, 3));
    rmSync(path);
  });
});
