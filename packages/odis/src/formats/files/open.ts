import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorInfo,
  type TypedArray,
} from "@odis/torch";
import { FileProblem, openRegular, plain, readRange, WeightsError } from "../../core/index.js";
import { readers } from "../registry.js";
import { leavesOf } from "./texts.js";
import { openTorchFile } from "./torch-file.js";
import type { PlainValue, WeightFile } from "../format.js";

/**
 * Opens weights, told apart by their first bytes: a file of `torch.save`, a safetensors file, or a
 * folder in the layout of one of the formats.
 *
 * @throws WeightsError, SafetensorsError saying what is wrong and what to do
 */
export async function openWeights(path: string): Promise<WeightFile> {
  if (existsSync(path) && statSync(path).isDirectory()) return openFolder(path);
  const start = await firstBytes(path);
  if (isSafetensors(start)) return openSafetensorsWeights(path);
  if (start.subarray(0, 2).toString("latin1") === "PK") return openTorchFile(path);
  if (start[0] === 0x80) throw oldFormat(path, start);
  return openSafetensorsWeights(path);
}

/** A length, whose first bytes may be any others' sign, and the brace that begins a header. */
const isSafetensors = (start: Buffer): boolean =>
  start.length > 8 && start.readUInt16LE(6) === 0 && start[8] === 0x7b;

/** A safetensors file, its header's texts as leaves. */
export function openSafetensorsWeights(path: string): WeightFile {
  return new SafetensorsWeights(openSafetensors(path), new Map());
}

async function openFolder(path: string): Promise<WeightFile> {
  const layouts = readers.flatMap(({ folder }) => folder ?? []);
  const found = layouts.filter(({ weights }) => existsSync(join(path, weights)));
  const [first] = found;
  if (!first)
    throw new WeightsError(
      path,
      `a folder without ${[...new Set(layouts.map(({ weights }) => weights))].join(" or ")}. Give a file ` +
        `of weights, a folder of Hugging Face's with its weights in one file, or a checkpoint of odis.`,
    );
  const texts = new Map(found.flatMap((layout) => Object.entries(layout.texts)));
  const leaves = [...texts].map(([name, above]) => leavesOf(join(path, name), above));
  const plain = new Map((await Promise.all(leaves)).flatMap((each) => [...each]));
  return new SafetensorsWeights(openSafetensors(join(path, first.weights)), plain);
}

class SafetensorsWeights implements WeightFile {
  readonly path: string;
  readonly plain: ReadonlyMap<string, PlainValue>;
  readonly unreadable: ReadonlyMap<string, string> = new Map();

  constructor(
    private readonly file: SafetensorsFile,
    plain: ReadonlyMap<string, PlainValue>,
  ) {
    this.path = file.path;
    this.plain = new Map([...Object.entries(file.metadata), ...plain]);
  }

  get names(): readonly string[] {
    return this.file.names;
  }

  has(name: string): boolean {
    return this.file.has(name);
  }

  info(name: string): TensorInfo {
    return this.file.info(name);
  }

  read(name: string): TypedArray {
    return this.file.read(name);
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

async function firstBytes(path: string): Promise<Buffer> {
  try {
    const { file, size } = await openRegular(path);
    try {
      return await readRange(file, 0, Math.min(16, size));
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new WeightsError(path, `${plain(cause.message)}.`, { cause });
  }
}

// What PyTorch before 1.6 wrote first: a pickled number.
const oldMagic = Buffer.from("80028a0a6cfc9c46f9206aa850192e", "hex");

function oldFormat(path: string, start: Buffer): WeightsError {
  const legacy = start.subarray(0, oldMagic.length).equals(oldMagic);
  return new WeightsError(
    path,
    legacy
      ? `in the format of PyTorch before 1.6, which is not read here. Convert it, in Python: ` +
          `torch.save(torch.load(${JSON.stringify(path)}, map_location="cpu", weights_only=False), "weights.pth").`
      : `a bare pickle without tensors of its own. Give a file that torch.save wrote.`,
  );
}
