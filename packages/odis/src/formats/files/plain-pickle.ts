import { arrayOf } from "@odis/torch";
import { DataError, plain } from "../../core/index.js";
import { NumpyArray } from "./numpy.js";
import { PickleProblem, type PickleValue, readPickle } from "./pickle.js";
import { TorchTensor } from "./torch-tensor.js";
import { torchWorld } from "./torch-world.js";

/**
 * The plain data in a pickle as JSON would have it, read without running it: dicts are objects (their
 * keys texts or numbers), tuples and sets are lists, arrays of NumPy are flat lists of numbers.
 *
 * @param what names the file in messages
 * @throws DataError when it is no pickle, or holds anything else
 */
export function plainPickle(bytes: Uint8Array, what: string): unknown {
  try {
    return plainValue(readPickle(bytes, torchWorld), 0);
  } catch (error) {
    if (!(error instanceof PickleProblem)) throw error;
    throw new DataError(`${what}: not a pickle of plain data: ${error.message}`, { cause: error });
  }
}

/** Lists in lists; published files have three. */
const deepest = 32;

function plainValue(value: PickleValue, depth: number): unknown {
  if (depth > deepest) throw new PickleProblem(`lists more than ${deepest} deep in one another`);
  if (Array.isArray(value)) return value.map((item: PickleValue) => plainValue(item, depth + 1));
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<PickleValue, PickleValue>)];
    return Object.fromEntries(
      entries.map(([key, item]) => [keyText(key), plainValue(item, depth + 1)]),
    );
  }
  if (value instanceof NumpyArray) return numbers(value);
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8"); // Python 2's texts
  if (value === null || typeof value !== "object") return value;
  throw new PickleProblem(`it holds something that is no plain data`);
}

function keyText(key: PickleValue): string {
  if (typeof key === "string") return key;
  if (typeof key === "number") return String(key);
  if (key instanceof Uint8Array) return Buffer.from(key).toString("utf8");
  throw new PickleProblem("a dict whose keys are neither texts nor numbers");
}

function numbers({ tensor }: NumpyArray): readonly number[] {
  if (!(tensor instanceof TorchTensor) || !tensor.storage.bytes)
    throw new PickleProblem(`it holds ${plain(tensor.kind)}, which is not read`);
  const [begin, end] = tensor.range;
  const kind = arrayOf[tensor.storage.dtype];
  const width = kind.BYTES_PER_ELEMENT;
  const part = tensor.storage.bytes.slice(begin * width, end * width);
  return Array.from(tensor.gather(new kind(part.buffer)), Number);
}
