import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  openSafetensors,
  type SafetensorsFile,
  type TensorInfo,
  type TypedArray,
} from "@odis/torch";
import { z } from "zod";
import { ConfigError, WeightsError } from "../core/index.js";
import { openTorchFile } from "./torch-file.js";
import type { Side } from "./names.js";

/** The file of weights in a folder of Hugging Face's, and in a checkpoint of odis. */
const folderNames = ["model.safetensors", "tensors.safetensors"] as const;

/**
 * Opens weights in any of the known formats, told apart by their first bytes: a file of
 * `torch.save`, a safetensors file, or a folder with one (Hugging Face's, with its config.json; a
 * checkpoint of odis).
 *
 * @throws WeightsError, SafetensorsError saying what is wrong and what to do
 */
export async function openWeights(path: string): Promise<WeightFile> {
  if (existsSync(path) && statSync(path).isDirectory()) return openFolder(path);
  const start = firstBytes(path);
  if (start.subarray(0, 2).toString("latin1") === "PK") return openTorchFile(path);
  if (start[0] === 0x80) throw oldFormat(path, start);
  return new SafetensorsWeights(openSafetensors(path), new Map());
}

function openFolder(path: string): WeightFile {
  const name = folderNames.find((each) => existsSync(join(path, each)));
  if (name === undefined)
    throw new WeightsError(
      path,
      `a folder without ${folderNames.join(" or ")}. Give a file of weights, a folder of Hugging ` +
        `Face's with its weights in one file, or a checkpoint of odis.`,
    );
  return new SafetensorsWeights(openSafetensors(join(path, name)), folderConfig(path));
}

/** Plain leaves of Hugging Face's config.json, or of the recipe's network in a checkpoint of odis. */
function folderConfig(path: string): ReadonlyMap<string, PlainValue> {
  const network = z
    .looseObject({ config: z.looseObject({ recipe: z.looseObject({ model: z.unknown() }) }) })
    .safeParse(readJson(join(path, "state.json")));
  const leaves = {
    config: readJson(join(path, "config.json")),
    model: network.data?.config.recipe.model,
  };
  return new Map(
    Object.entries(leaves).flatMap(([above, tree]) =>
      Object.entries(tree ?? {})
        .filter((leaf): leaf is [string, PlainValue] => plainTypes.has(typeof leaf[1]))
        .map(([name, value]) => [`${above}.${name}`, value] as const),
    ),
  );
}

const plainTypes: ReadonlySet<string> = new Set(["string", "number", "boolean"]);

function readJson(file: string): unknown {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, "utf8")) as unknown;
  } catch (error) {
    throw new WeightsError(file, "not JSON. Restore it from where the weights came from.", {
      cause: error,
    });
  }
}

class SafetensorsWeights implements WeightFile {
  readonly path: string;
  readonly plain: ReadonlyMap<string, PlainValue>;

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

function firstBytes(path: string): Buffer {
  const bytes = Buffer.alloc(16);
  if (!existsSync(path)) return bytes; // whoever opens it says so
  const descriptor = openSync(path, "r");
  try {
    return bytes.subarray(0, readSync(descriptor, bytes));
  } finally {
    closeSync(descriptor);
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
          `torch.save(torch.load(${JSON.stringify(path)}, map_location="cpu"), "weights.pth").`
      : `a bare pickle without tensors of its own. Give a file that torch.save wrote.`,
  );
}

/** A leaf of a file that is not a tensor: an epoch, an option of the training that made it. */
export type PlainValue = string | number | boolean;

/** An open file of named tensors, whatever its format. Tensors are read one at a time. */
export interface WeightFile extends Disposable {
  readonly path: string;
  /** full names, e.g. `teacher.backbone.blocks.0.attn.qkv.weight` */
  readonly names: readonly string[];
  /** what else it says, by full name */
  readonly plain: ReadonlyMap<string, PlainValue>;
  has(name: string): boolean;
  info(name: string): TensorInfo;
  /** row-major elements, in memory of their own */
  read(name: string): TypedArray;
}

/** Which weights are meant: `dino.pth`, `ibot.pth#student`, `runs/first#backbone`. */
export interface WeightsSpec {
  /** a file, a folder of Hugging Face's, a checkpoint or a run of odis */
  readonly path: string;
  /** default: the teacher, or the only network that there is */
  readonly side: Side | undefined;
  /** `backbone`: heads are randomly initialised */
  readonly parts: "all" | "backbone";
}

/** @throws ConfigError when what follows the # is none of the known words */
export function parseWeights(text: string): WeightsSpec {
  const at = text.lastIndexOf("#");
  if (at < 0 || existsSync(text)) return { path: text, side: undefined, parts: "all" };
  const words = /^(student|teacher)?\.?(backbone)?$/.exec(text.slice(at + 1));
  if (!words || at === 0 || text.endsWith("#"))
    throw new ConfigError(
      `weights ${text}: got ${JSON.stringify(text.slice(at))} after the file; wanted #teacher, #student, ` +
        `#backbone, #teacher.backbone or #student.backbone`,
    );
  return {
    path: text.slice(0, at),
    side: words[1] as Side | undefined,
    parts: words[2] === undefined ? "all" : "backbone",
  };
}
