import { arrayOf, type TensorInfo, type TypedArray } from "@odis/torch";
import { plain, shellWord, WeightsError } from "../../core/index.js";
import { NumpyArray } from "./numpy.js";
import { PickleProblem, type PickleValue, readPickle, UnknownGlobal } from "./pickle.js";
import { ForeignTensor, TorchTensor } from "./torch-tensor.js";
import { torchWorld } from "./torch-world.js";
import type { PlainValue, WeightFile } from "../format.js";
import { ZipArchive } from "./zip.js";

// The program of a real checkpoint has some hundred kilobytes.
const largestProgram = 1 << 26;
// Containers may hold each other: how many entries, and how deep, are looked at.
const mostEntries = 1_000_000;
const deepest = 32;

/**
 * Opens a file of `torch.save` (PyTorch 1.6 and later) without executing its pickle: tensors and
 * plain containers are understood, anything else ends it. No tensor is read yet.
 *
 * @throws WeightsError naming what is wrong, or the first thing that is not understood
 */
export async function openTorchFile(path: string): Promise<WeightFile> {
  const zip = await ZipArchive.open(path);
  try {
    const root = rootFolder(zip);
    const value = understand(zip, `${root}data.pkl`);
    return new TorchFile(zip, root, flatten(path, value));
  } catch (error) {
    zip.close();
    throw error;
  }
}

interface Leaves {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  readonly unreadable: ReadonlyMap<string, string>;
  readonly plain: ReadonlyMap<string, PlainValue>;
}

class TorchFile implements WeightFile {
  readonly path: string;
  readonly plain: ReadonlyMap<string, PlainValue>;
  readonly unreadable: ReadonlyMap<string, string>;
  private readonly tensors: ReadonlyMap<string, TorchTensor>;

  constructor(
    private readonly zip: ZipArchive,
    private readonly root: string,
    leaves: Leaves,
  ) {
    this.path = zip.path;
    this.tensors = leaves.tensors;
    this.plain = leaves.plain;
    this.unreadable = leaves.unreadable;
    for (const [name, { storage }] of this.tensors) {
      if (storage.bytes) continue;
      const got = zip.size(this.entry(storage.key));
      const wanted = storage.elements * arrayOf[storage.dtype].BYTES_PER_ELEMENT;
      if (got === undefined || got < wanted)
        throw new WeightsError(
          this.path,
          `tensor ${plain(name)}: its storage ${plain(storage.key)} has ${got ?? "no"} bytes, wanted ${wanted}. ` +
            `The file is damaged; copy it again.`,
        );
    }
  }

  get names(): readonly string[] {
    return [...this.tensors.keys()];
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  info(name: string): TensorInfo {
    const { shape, storage } = this.tensor(name);
    return { shape, dtype: storage.dtype };
  }

  read(name: string): TypedArray {
    const tensor = this.tensor(name);
    const { dtype, key, bytes: own } = tensor.storage;
    const [begin, end] = tensor.range;
    const width = arrayOf[dtype].BYTES_PER_ELEMENT;
    const bytes = own
      ? own.slice(begin * width, end * width)
      : this.zip.read(this.entry(key), begin * width, end * width);
    return tensor.gather(new arrayOf[dtype](bytes.buffer as ArrayBuffer));
  }

  [Symbol.dispose](): void {
    this.zip.close();
  }

  private entry(key: string): string {
    return `${this.root}data/${key}`;
  }

  private tensor(name: string): TorchTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`internal: ${this.path} has no tensor ${name}`);
    return tensor;
  }
}

/** Everything lies in one folder, named after the file when it was saved. */
function rootFolder(zip: ZipArchive): string {
  const { path, names } = zip;
  const [program, ...more] = names.filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (program === undefined || more.length > 0)
    throw new WeightsError(
      path,
      `a zip archive, but not one of torch.save (it has ${names.length} entries and ` +
        `${program === undefined ? "no" : more.length + 1} data.pkl). Give a checkpoint's file.`,
    );
  const root = program.slice(0, -"data.pkl".length);
  if (names.includes(`${root}constants.pkl`))
    throw new WeightsError(
      path,
      `a TorchScript program, not weights. In Python: ` +
        `torch.save(torch.jit.load(${JSON.stringify(path)}).state_dict(), "weights.pth").`,
    );
  const order = `${root}byteorder`;
  if (names.includes(order) && textOf(zip, order) !== "little")
    throw new WeightsError(path, `written on a big-endian machine. Save it again on another one.`);
  return root;
}

function textOf(zip: ZipArchive, name: string): string {
  return Buffer.from(zip.read(name, 0, Math.min(64, zip.size(name) ?? 0))).toString("latin1");
}

function understand(zip: ZipArchive, name: string): PickleValue {
  const size = zip.size(name) ?? 0;
  if (size > largestProgram)
    throw new WeightsError(
      zip.path,
      `its data.pkl has ${size} bytes; ${largestProgram} is the limit. ${keepTensors(zip.path)}`,
    );
  try {
    return readPickle(zip.read(name, 0, size), torchWorld);
  } catch (error) {
    if (error instanceof UnknownGlobal)
      throw new WeightsError(
        zip.path,
        `${error.message}, which is neither a tensor nor a plain container; nothing of it was run. ` +
          keepTensors(zip.path),
        { cause: error },
      );
    if (!(error instanceof PickleProblem)) throw error;
    throw new WeightsError(
      zip.path,
      `data.pkl cannot be understood: ${error.message}. The file is damaged, or holds more than a ` +
        `checkpoint. ${keepTensors(zip.path)}`,
      { cause: error },
    );
  }
}

/** How Python makes a file of it that can be read here. Since PyTorch 2.6 it asks for the last word. */
function keepTensors(path: string): string {
  const program =
    `import torch; ` +
    `keep = lambda x: {k: keep(v) for k, v in x.items() if isinstance(v, (dict, torch.Tensor))} if isinstance(x, dict) else x; ` +
    `torch.save(keep(torch.load(${JSON.stringify(path)}, map_location="cpu", weights_only=False)), "weights.pth")`;
  return `If you trust the file, keep only its tensors: python3 -c ${shellWord(program)}`;
}

/** Tensors and plain leaves by their path of keys. */
function flatten(path: string, root: PickleValue): Leaves {
  if (!(root instanceof Map))
    throw new WeightsError(path, "holds no dict of tensors. Save a state_dict, or a dict of them.");
  const tensors = new Map<string, TorchTensor>();
  const unreadable = new Map<string, string>();
  const leaves = new Map<string, PlainValue>();
  let entries = 0;
  const walk = (found: PickleValue, name: string, depth: number): void => {
    const value = found instanceof NumpyArray ? found.tensor : found;
    entries += 1;
    if (depth > deepest || entries > mostEntries)
      throw new WeightsError(
        path,
        `at ${plain(name)}: containers within containers without end. ${keepTensors(path)}`,
      );
    if (value instanceof TorchTensor) {
      if (tensors.has(name)) throw new WeightsError(path, `names the tensor ${plain(name)} twice.`);
      tensors.set(name, value);
    } else if (value instanceof ForeignTensor) {
      unreadable.set(name, value.kind);
    } else if (value instanceof Map || Array.isArray(value)) {
      for (const [key, inner] of value.entries() as Iterable<[PickleValue, PickleValue]>)
        if (typeof key === "string" || typeof key === "number")
          walk(inner, name === "" ? String(key) : `${name}.${key}`, depth + 1);
    } else if (typeof value === "string" || typeof value === "number" || typeof value === "boolean")
      leaves.set(name, value);
  };
  walk(root, "", 0);
  return { tensors, unreadable, plain: leaves };
}
