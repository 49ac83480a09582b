import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OdisError, WeightsError } from "../../src/core/errors.js";
import { openTorchFile } from "../../src/formats/files/torch-file.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "./fixture.js";

const scratch = scratchFolder();

/** The elements of a tensor as numbers: halves are decoded by their definition. */
function numbers(dtype: string, data: ArrayLike<number | bigint>): number[] {
  const decode =
    dtype === "float16" ? fromHalf : dtype === "bfloat16" ? fromBrain : (bits: number) => bits;
  return Array.from(data, (element) => decode(Number(element)));
}

function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  const size = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}

function fromBrain(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
}

async function refusalOf(name: string): Promise<string> {
  const error: unknown = await openTorchFile(name).then(
    (file) => file[Symbol.dispose](),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(WeightsError);
  return (error as WeightsError).message;
}

async function refusal(name: string): Promise<string> {
  return (await refusalOf(name)).replace(name, basename(name)).replaceAll(name, "FILE");
}

const python = spawnSync("/usr/bin/python3", ["-c", "import torch"]).status === 0;

describe("a file of torch.save", () => {
  it("gives every element type and shape as PyTorch printed it", async () => {
    using file = await openTorchFile(fixture("kinds.pth"));
    const shapes = Object.fromEntries(
      file.names.map((name) => [name.replace("state_dict.", ""), file.info(name).shape]),
    );
    expect(shapes).toEqual({
      float32: [2, 3],
      float64: [2, 3],
      float16: [2, 3],
      bfloat16: [2, 3],
      int64: [2],
      int32: [2],
      uint8: [2],
      bool: [3],
      scalar: [],
      empty: [0, 4],
      parameter: [2],
    });
    for (const name of file.names) {
      const short = name.replace("state_dict.", "");
      const { dtype } = file.info(name);
      if (short in shapes && !["scalar", "empty", "parameter"].includes(short))
        expect(dtype).toBe(short);
      const wanted = Array.from({ length: file.read(name).length }, (_, at) =>
        file.plain.get(`wanted.${short}.${at}`),
      );
      expect(numbers(dtype, file.read(name)), short).toEqual(wanted);
    }
  });

  it("gives what else it holds as plain values, and lets no key reach an object", async () => {
    using file = await openTorchFile(fixture("kinds.pth"));
    const plain = [...file.plain].filter(([name]) => name.startsWith("plain."));
    expect(Object.fromEntries(plain)).toEqual({
      "plain.yes": true,
      "plain.less": -129,
      "plain.half": 0.5,
      "plain.text": "Häuser",
      "plain.tuple.0": 1,
      "plain.tuple.1.0": 2,
      "plain.set.0": 3,
      "plain.size.0": 2,
      "plain.size.1": 3,
      "plain.__proto__.polluted": 1,
    });
    expect("polluted" in {}).toBe(false);
  });

  it.each(["views.pth", "deflated.pth", "zip64.pth"])(
    "honours offsets, strides and shared storages: %s",
    async (name) => {
      using file = await openTorchFile(fixture(name));
      const base = Array.from({ length: 24 }, (_, at) => at);
      const wanted = {
        base,
        rows: base.slice(6, 18),
        columns: [2, 3, 8, 9, 14, 15, 20, 21],
        turned: base.map((_, at) => 6 * (at % 4) + Math.floor(at / 4)),
        every: [3, 10, 17],
        repeated: [0, 0, 0, 0, 0, 0],
      };
      expect(
        Object.fromEntries(file.names.map((key) => [key, Array.from(file.read(key), Number)])),
      ).toEqual(wanted);
      expect(file.info("turned")).toEqual({ dtype: "float32", shape: [6, 4] });
    },
  );

  it("names the tensors and options of a full checkpoint by their place in it", async () => {
    using file = await openTorchFile(fixture("dino.pth"));
    expect(file.names).toContain("student.module.backbone.blocks.1.attn.qkv.weight");
    expect(file.names).toContain("teacher.head.last_layer.weight_g");
    expect(file.names).toContain("dino_loss.center");
    expect(file.names).toContain("optimizer.state.0.exp_avg");
    expect(file.plain.get("epoch")).toBe(800);
    expect(file.plain.get("args.arch")).toBe("vit_small");
  });
});

describe("what is refused, and how", () => {
  it("a program that would call os.system: named, and not run", async () => {
    expect(await refusal(fixture("attack.pth"))).toBe(
      `attack.pth: "teacher.hook" holds posix.system, which is neither a tensor nor a plain container; ` +
        `nothing of it was run. If you trust the file, keep only its tensors: python3 -c 'import torch; ` +
        `keep = lambda x: {k: keep(v) for k, v in x.items() if isinstance(v, (dict, torch.Tensor))} ` +
        `if isinstance(x, dict) else x; torch.save(keep(torch.load("FILE", map_location="cpu", ` +
        `weights_only=False)), "weights.pth")'`,
    );
    expect(existsSync("odis-was-attacked")).toBe(false);
  });

  it.skipIf(!python)("what it advises for other objects makes a file that is read", async () => {
    const advice = /python3 -c '.*'$/.exec(await refusalOf(fixture("custom.pth")))![0];
    const { status, stderr } = spawnSync("sh", ["-c", advice], {
      cwd: scratch(),
      encoding: "utf8",
      env: { PATH: "/usr/bin:/bin" }, // Debian's Python
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    using file = await openTorchFile(join(scratch(), "weights.pth"));
    using wanted = await openTorchFile(fixture("dino-backbone.pth"));
    expect(file.names).toEqual(wanted.names.map((name) => `teacher.backbone.${name}`));
    for (const name of wanted.names)
      expect(file.read(`teacher.backbone.${name}`)).toEqual(wanted.read(name));
  });

  it("any other object, with its place", async () => {
    expect(await refusal(fixture("path.pth"))).toContain(
      `"args.output_dir" holds pathlib.PurePosixPath, which is neither`,
    );
  });

  it("files of other kinds", async () => {
    expect(await refusal(fixture("script.pth"))).toBe(
      `script.pth: a TorchScript program, not weights. In Python: ` +
        `torch.save(torch.jit.load("FILE").state_dict(), "weights.pth").`,
    );
    expect(await refusal(fixture("list.pth"))).toBe(
      "list.pth: holds no dict of tensors. Save a state_dict, or a dict of them.",
    );
    expect(await refusal(join(scratch(), "missing.pth"))).toBe("missing.pth: no such file.");
    expect(await refusal(scratch())).toMatch(/: is not a file\.$/);
  });

  it("a file that was cut off anywhere", async () => {
    const whole = readFileSync(fixture("views.pth"));
    const path = join(scratch(), "cut.pth");
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(path, whole.subarray(0, length));
      expect(await refusal(path)).toMatch(
        /^cut\.pth: not a whole zip archive \(.*\)\. It is torn, or no file of torch\.save; copy it again\.$/,
      );
    }
  });

  it("a tensor whose bytes were changed", async () => {
    const bytes = readFileSync(fixture("views.pth"));
    const at = bytes.indexOf(Buffer.from(Float32Array.of(5, 6, 7).buffer));
    bytes[at]! ^= 1;
    const path = join(scratch(), "changed.pth");
    writeFileSync(path, bytes);
    using file = await openTorchFile(path);
    expect(() => file.read("rows")).toThrow(
      "changed.pth: entry views/data/0: its bytes are not what was written (their CRC-32 differs). Copy the file again.",
    );
  });
});

describe("fuzzing", () => {
  /** Reads all there is; only a refusal may come out of a damaged file. */
  async function readAll(path: string): Promise<void> {
    try {
      using file = await openTorchFile(path);
      for (const name of file.names) file.read(name);
    } catch (error) {
      if (!(error instanceof OdisError)) throw error;
    }
  }

  it.each(["views.pth", "deflated.pth", "zip64.pth", "kinds.pth", "path.pth"])(
    "random bytes in %s end in a value or a refusal",
    async (name) => {
      const whole = readFileSync(fixture(name));
      const path = join(scratch(), "fuzzed.pth");
      const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
          const bytes = Buffer.from(whole);
          for (const { at, byte } of changes) bytes[at] = byte;
          writeFileSync(path, bytes);
          await readAll(path);
        }),
        { numRuns: 400 },
      );
    },
  );
});
