import { arrayOf, type DType, type TypedArray } from "@odis/torch";
import {
  PickleGlobal,
  PickleObject,
  PickleProblem,
  PickleRecord,
  type PickleValue,
  type PickleWorld,
} from "./pickle.js";

/** Elements in an entry of their own in the archive; several tensors may look at one. */
export class TorchStorage extends PickleObject {
  readonly kind = "a storage";

  constructor(
    readonly key: string,
    readonly dtype: DType,
    readonly elements: number,
  ) {
    super();
  }
}

/** A view of a storage, as `torch.Tensor` is one. Offset and strides count elements. */
export class TorchTensor extends PickleObject {
  readonly kind = "a tensor";

  constructor(
    readonly storage: TorchStorage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {
    super();
  }

  get elements(): number {
    return product(this.shape);
  }

  /** First element that it looks at, and the one after its last. */
  get range(): readonly [begin: number, end: number] {
    if (this.elements === 0) return [this.offset, this.offset];
    const last = this.shape.reduce((sum, side, axis) => sum + (side - 1) * this.strides[axis]!, 0);
    return [this.offset, this.offset + last + 1];
  }

  /** Its elements row by row. `part` are those of `range`. */
  gather(part: TypedArray): TypedArray {
    const { shape, strides, elements } = this;
    if (this.isRowMajor()) return part;
    const gathered = new arrayOf[this.storage.dtype](elements);
    const at = shape.map(() => 0);
    let from = 0;
    for (let to = 0; to < elements; to += 1) {
      gathered[to] = part[from]!;
      for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
        from += strides[axis]!;
        at[axis]! += 1;
        if (at[axis]! < shape[axis]!) break;
        from -= strides[axis]! * shape[axis]!;
        at[axis] = 0;
      }
    }
    return gathered;
  }

  private isRowMajor(): boolean {
    let step = 1;
    for (let axis = this.shape.length - 1; axis >= 0; axis -= 1) {
      if (this.shape[axis] !== 1 && this.strides[axis] !== step) return false;
      step *= this.shape[axis]!;
    }
    return true;
  }
}

// A repeated (expanded) tensor may be larger than its storage, but not without limit.
const largestRepeat = 1 << 24;
const mostAxes = 64; // LibTorch's own limit

const storageTypes: Readonly<Record<string, DType>> = {
  "torch.FloatStorage": "float32",
  "torch.DoubleStorage": "float64",
  "torch.HalfStorage": "float16",
  "torch.BFloat16Storage": "bfloat16",
  "torch.LongStorage": "int64",
  "torch.IntStorage": "int32",
  "torch.ByteStorage": "uint8",
  "torch.BoolStorage": "bool",
};

const dtypeNames = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"];

const pairs = (value: PickleValue | undefined): Map<PickleValue, PickleValue> => {
  if (value === undefined) return new Map();
  if (value instanceof Map) return value;
  if (Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2))
    return new Map(value as [PickleValue, PickleValue][]);
  throw new PickleProblem("an OrderedDict of something else than pairs");
};

const listOf = ([items = []]: readonly PickleValue[]): PickleValue => {
  if (Array.isArray(items)) return [...(items as readonly PickleValue[])];
  throw new PickleProblem("a set of something else than a list");
};

/** Python 3 writes bytes for Python 2 as a text and the name of its encoding. */
const encoded = ([text, encoding]: readonly PickleValue[]): PickleValue => {
  if (typeof text === "string" && encoding === "latin1")
    return Uint8Array.from(Buffer.from(text, "latin1"));
  throw new PickleProblem("bytes in an encoding other than latin1");
};

/** Everything that a checkpoint's pickle may name, and what it means. */
const known = new Map<string, PickleGlobal>(
  [
    ...Object.keys(storageTypes).map((name) => new PickleGlobal(name)),
    ...dtypeNames.map((name) => new PickleGlobal(`torch.${name}`)),
    new PickleGlobal("collections.OrderedDict", ([items]) => pairs(items)),
    new PickleGlobal("argparse.Namespace", () => new PickleRecord()),
    new PickleGlobal("torch.Size", listOf),
    new PickleGlobal("torch.device", (parts) => parts),
    new PickleGlobal("_codecs.encode", encoded),
    ...["__builtin__", "builtins"].flatMap((module) => [
      new PickleGlobal(`${module}.set`, listOf),
      new PickleGlobal(`${module}.frozenset`, listOf),
      new PickleGlobal(`${module}.bytes`, () => new Uint8Array()),
    ]),
    new PickleGlobal("torch._utils._rebuild_tensor_v2", ([storage, offset, shape, strides]) =>
      view(storage, offset, shape, strides),
    ),
    new PickleGlobal("torch._utils._rebuild_parameter", ([tensor]) => {
      if (tensor instanceof TorchTensor) return tensor;
      throw new PickleProblem("a parameter that is not a tensor");
    }),
  ].map((global) => [global.name, global] as const),
);

/** PyTorch's names, as far as they are tensors and plain data. */
export const torchWorld: PickleWorld = {
  global: (name) => known.get(name),
  persistent(id) {
    if (!Array.isArray(id)) return undefined;
    const [tag, type, key, , elements] = id as readonly PickleValue[];
    const dtype = type instanceof PickleGlobal ? storageTypes[type.name] : undefined;
    if (tag !== "storage" || dtype === undefined || typeof key !== "string" || !isSize(elements))
      return undefined;
    return new TorchStorage(key, dtype, elements);
  },
};

function view(...[storage, offset, shape, strides]: (PickleValue | undefined)[]): TorchTensor {
  if (!(storage instanceof TorchStorage && isSize(offset) && areSizes(shape) && areSizes(strides)))
    throw new PickleProblem("a tensor without storage, offset, shape and strides");
  const tensor = new TorchTensor(storage, offset, shape, strides);
  const [, end] = tensor.range;
  const fits =
    shape.length === strides.length &&
    shape.length <= mostAxes &&
    tensor.elements <= Math.max(storage.elements, largestRepeat) &&
    end <= storage.elements;
  if (fits) return tensor;
  throw new PickleProblem(
    `a tensor of shape [${shape.slice(0, 8).join(", ")}], strides [${strides.slice(0, 8).join(", ")}] from element ` +
      `${offset} on, in a storage of ${storage.elements} elements`,
  );
}

function product(sides: readonly number[]): number {
  return sides.reduce((all, side) => all * side, 1);
}

function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function areSizes(value: PickleValue | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize);
}
