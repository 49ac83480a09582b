import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import { SafetensorsError, type TensorEntry, writeSafetensors } from "@odis/torch";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OdisError } from "../../src/core/index.js";
import { findNetwork, openWeights, shapeOf } from "../../src/formats/index.js";
import { ZipArchive } from "../../src/formats/files/zip.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "./fixture.js";
import { memoryFile } from "./small.js";
import { zipped } from "./zipped.js";

const scratch = scratchFolder();

/** What opening ends in: "read", or the sentence of a refusal; anything else is a failure. */
async function ending(path: string): Promise<string> {
  try {
    using file = await openWeights(path);
    const network = findNetwork(file);
    shapeOf(network, file.plain);
    for (const name of file.names) file.read(name);
    return "read";
  } catch (error) {
    if (error instanceof OdisError || error instanceof SafetensorsError) return error.message;
    throw error;
  }
}

const put = (name: string, bytes: Uint8Array | string): string => {
  const path = join(scratch(), name);
  writeFileSync(path, bytes);
  return path;
};

/** A `.pth` whose data.pkl is this program. */
const torchFile = (program: Uint8Array | string): string =>
  put("made.pth", zipped({ "made/data.pkl": Buffer.from(program as string, "latin1") }));

describe("pipes and devices in place of files", () => {
  const pipe = (name: string): string => {
    const path = join(scratch(), name);
    expect(spawnSync("mkfifo", [path]).status).toBe(0);
    return path;
  };

  it("are not waited for", async () => {
    expect(await ending(pipe("w.pth"))).toMatch(/w\.pth: is a pipe; wanted a regular file\.$/);
    const zero = join(scratch(), "zero.safetensors");
    symlinkSync("/dev/zero", zero);
    expect(await ending(zero)).toMatch(/: is a device; wanted a regular file\.$/);
  });

  it("not inside a folder either", async () => {
    const folder = join(scratch(), "hf");
    mkdirSync(folder);
    pipe("hf/model.safetensors");
    expect(await ending(folder)).toMatch(/model\.safetensors: is not a file\.$/);
    const other = join(scratch(), "hf2");
    mkdirSync(other);
    writeFileSync(
      join(other, "model.safetensors"),
      readFileSync(fixture("hf-vit/model.safetensors")),
    );
    pipe("hf2/config.json");
    expect(await ending(other)).toMatch(/config\.json: is a pipe; wanted a regular file\.$/);
  });
});

describe("few bytes that mean much", () => {
  it.each([
    ["empty lists", "]", "500000 containers"],
    ["empty dicts", "}", "500000 containers"],
    ["marks", "(", "500000 containers"],
    ["tuples of themselves", "2\x85", "500000 containers"],
    ["numbers", "K\x01", "2000000 instructions"],
    ["nothing at all", "N0", "2000000 instructions"],
    ["remembered numbers", "K\x01\x94", "2000000 instructions"],
  ])("60 MB of %s in some kB", async (_, piece, limit) => {
    const program = Buffer.alloc(60_000_000, Buffer.from(piece, "latin1"));
    const path = torchFile(Buffer.concat([Buffer.from("]"), program]));
    expect(readFileSync(path).length).toBeLessThan(200_000);
    expect(await ending(path)).toContain(
      `data.pkl cannot be understood: it has more than ${limit}.`,
    );
  });

  it("a program beyond the limit is not unpacked", async () => {
    expect(await ending(torchFile(Buffer.alloc(70_000_000, "]")))).toContain(
      "its data.pkl has 70000000 bytes; 67108864 is the limit. If you trust the file,",
    );
  });

  it("lists that hold each other twice, forty levels deep", async () => {
    const levels = "2\x86".repeat(40); // each a tuple of the one before, twice
    expect(await ending(torchFile(`}X\x01\x00\x00\x00a]${levels}s.`))).toContain(
      "containers within containers without end.",
    );
  });

  it("a packed storage is unpacked once, however many tensors look at it", async () => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, at) => (at * at) >> 3);
    const path = put("one.zip", zipped({ "a/data/0": bytes }));
    using zip = await ZipArchive.open(path);
    const first = zip.read("a/data/0", 0, 5000);
    const descriptor = openSync(path, "r+");
    writeSync(descriptor, Buffer.alloc(60, 0xff), 0, 60, 40); // what was packed is gone
    closeSync(descriptor);
    expect(zip.read("a/data/0", 0, 5000)).toEqual(first);
    using again = await ZipArchive.open(path);
    expect(() => again.read("a/data/0", 0, 5000)).toThrow("its bytes cannot be unpacked");
  });

  it("headers of lists within lists", async () => {
    const deep = 100_000;
    const header = `{"a":${"[".repeat(deep)}${"]".repeat(deep)}}`;
    for (const text of [header, `{"a":${"[".repeat(deep)}`, `{"__metadata__":${header}}`]) {
      const prefix = Buffer.alloc(8);
      prefix.writeBigUInt64LE(BigInt(text.length));
      expect(
        await ending(put("deep.safetensors", Buffer.concat([prefix, Buffer.from(text)]))),
      ).toMatch(
        /the header has lists or objects in one another more than 8 levels deep\. This is not a safetensors/,
      );
    }
  });

  it("a configuration of lists within lists", async () => {
    const folder = join(scratch(), "deep");
    mkdirSync(folder);
    writeFileSync(
      join(folder, "model.safetensors"),
      readFileSync(fixture("hf-vit/model.safetensors")),
    );
    writeFileSync(join(folder, "config.json"), "[".repeat(50_000) + "]".repeat(50_000));
    expect(await ending(folder)).toBe("read");
    writeFileSync(join(folder, "config.json"), "[".repeat(5_000_000));
    expect(await ending(folder)).toMatch(/config\.json: has 5000000 bytes; at most 4194304 can be/);
  });
});

describe("numbers and shapes of strangers", () => {
  const rename = async (change: (name: string) => string) => {
    using file = await openWeights(fixture("dino-backbone.pth"));
    const tensors = file.names.map((name) => [change(name), file.info(name)] as const);
    return memoryFile(Object.fromEntries(tensors));
  };

  it("1e9 as a block's number", async () => {
    const file = await rename((name) => name.replace("blocks.1.", "blocks.1000000000."));
    expect(() => shapeOf(findNetwork(file), file.plain)).toThrow(
      "memory.pth: blocks: got 2, numbered 0, 1000000000; wanted them numbered from 0 without a gap. " +
        "Part of the network is missing: use its whole file.",
    );
  });

  it("any shapes under the names of a network end in a shape or a sentence", async () => {
    const whole = await rename((name) => name);
    const shape = fc.array(fc.oneof(fc.nat(20), fc.constantFrom(0, 1, 2 ** 40)), { maxLength: 6 });
    const change = fc.record({ at: fc.nat(whole.names.length - 1), shape });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 5 }), (changes) => {
        const tensors = Object.fromEntries(whole.names.map((name) => [name, whole.info(name)]));
        for (const { at, shape } of changes)
          tensors[whole.names[at]!] = { dtype: "float32", shape };
        const file = memoryFile(tensors);
        try {
          const { depth, dim } = shapeOf(findNetwork(file), file.plain);
          expect(depth).toBe(2);
          expect(dim).toBeGreaterThan(0);
        } catch (error) {
          if (!(error instanceof OdisError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("any leaves beside the tensors end in a shape or a sentence", async () => {
    const whole = await rename((name) => name);
    const name = fc.constantFrom(
      ..."hidden_act num_attention_heads layer_norm_eps image_size image_size.0 image_size.1".split(
        " ",
      ),
      ..."patch_size num_hidden_layers qkv_bias model_type hidden_size mlp_ratio".split(" "),
    );
    const value = fc.oneof(fc.double(), fc.string(), fc.boolean(), fc.integer());
    fc.assert(
      fc.property(fc.dictionary(name, value), (leaves) => {
        const plain = new Map(Object.entries(leaves).map(([key, leaf]) => [`config.${key}`, leaf]));
        try {
          shapeOf(findNetwork(whole), plain);
        } catch (error) {
          if (!(error instanceof OdisError)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("names that would steer a terminal", () => {
  const steering = "\x1b[2J\x07\u009b\u202e\r\n";

  it("are spelled out and shortened in every message", async () => {
    const dim = { dtype: "float32", shape: [8] } as const;
    const name = `blocks.0.${steering}${"x".repeat(5000)}`;
    const file = memoryFile({ "norm.weight": dim, [name]: dim });
    const seen = (): string => {
      try {
        findNetwork(file);
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };
    expect(seen()).toMatch(
      /^memory\.pth: tensor blocks\.0\.\\u001b\[2J\\u0007\\u009b\\u202e\\u000d\\u000ax+…x+: a part of another network/,
    );
    expect(seen().length).toBeLessThan(400);
    const stranger = `cos\x1b[2J\nsystem\n.`;
    expect(await ending(torchFile(stranger))).toContain("its top level holds os\\u001b[2J.system");
  });
});

describe("fuzzing", () => {
  it("random bytes in a safetensors file end in a value or a refusal", async () => {
    const data = () => Float32Array.of(1, 2);
    const entry = (name: string): TensorEntry => ({ name, dtype: "float32", shape: [2], data });
    const path = join(scratch(), "fuzzed.safetensors");
    writeSafetensors(path, [entry("norm.weight"), entry("blocks.0.norm1.bias")], { made: "here" });
    const whole = readFileSync(path);
    const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        const bytes = Buffer.from(whole);
        for (const { at, byte } of changes) bytes[at] = byte;
        writeFileSync(path, bytes);
        await ending(path);
      }),
      { numRuns: 500 },
    );
  });

  it.each(["numpy.pth", "int8.pth", "custom.pth"])(
    "random bytes in the program of %s end in a value or a refusal",
    async (name) => {
      const stem = name.replace(".pth", "");
      using zip = await ZipArchive.open(fixture(name));
      const entries = Object.fromEntries(
        zip.names.map((entry) => [entry, zip.read(entry, 0, zip.size(entry)!)]),
      );
      const program = entries[`${stem}/data.pkl`]!;
      const change = fc.record({ at: fc.nat(program.length - 1), byte: fc.nat(255) });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
          const bytes = Uint8Array.from(program);
          for (const { at, byte } of changes) bytes[at] = byte;
          await ending(put("fuzzed.pth", zipped({ ...entries, [`${stem}/data.pkl`]: bytes })));
        }),
        { numRuns: 300 },
      );
    },
  );

  it("any configuration beside real weights ends in a value or a refusal", async () => {
    const folder = join(scratch(), "fuzzed");
    mkdirSync(folder);
    const weights = readFileSync(fixture("hf-vit/model.safetensors"));
    writeFileSync(join(folder, "model.safetensors"), weights);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (text) => {
        writeFileSync(join(folder, "config.json"), text);
        await ending(folder);
      }),
      { numRuns: 300 },
    );
  });
});

it("packs as zip archives do", () => {
  // An independent reader of what `zipped` writes, so that the tests above test archives.
  const path = put("z.zip", zipped({ "a/b": Buffer.from("hello"), c: deflateRawSync("x") }));
  const program = `import zipfile; z = zipfile.ZipFile(${JSON.stringify(path)}); print(z.testzip(), z.read("a/b"))`;
  const { stdout } = spawnSync("/usr/bin/python3", ["-c", program], { encoding: "utf8" });
  expect(stdout).toBe("None b'hello'\n");
});
