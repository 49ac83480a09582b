import type { DType } from "@odis/torch";
import { numpyGlobals } from "./numpy.js";
import {
  PickleGlobal,
  PickleProblem,
  PickleRecord,
  type PickleValue,
  type PickleWorld,
} from "./pickle.js";
import {
  ForeignStorage,
  ForeignTensor,
  isSize,
  TorchStorage,
  TorchTensor,
  tensorView,
} from "./torch-tensor.js";

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

const foreignTypes: Readonly<Record<string, string>> = {
  "torch.CharStorage": "int8",
  "torch.ShortStorage": "int16",
  "torch.ComplexFloatStorage": "complex64",
  "torch.ComplexDoubleStorage": "complex128",
  "torch.QInt8Storage": "qint8",
  "torch.QUInt8Storage": "quint8",
  "torch.QInt32Storage": "qint32",
  "torch.storage.UntypedStorage": "a type of its own",
};

const dtypeNames = (
  "float32 float64 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint64 uint32 " +
  "uint16 uint8 bool complex64 complex128 qint8 quint8 qint32"
).split(" ");

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
    ...[...Object.keys(storageTypes), ...Object.keys(foreignTypes)].map(
      (name) => new PickleGlobal(name),
    ),
    ...dtypeNames.map((name) => new PickleGlobal(`torch.${name}`)),
    new PickleGlobal("collections.OrderedDict", ([items]) => pairs(items)),
    new PickleGlobal("collections.Counter", ([items]) => pairs(items)),
    // Its argument is what makes a missing value; nobody here asks for one.
    new PickleGlobal("collections.defaultdict", () => new Map()),
    new PickleGlobal("argparse.Namespace", () => new PickleRecord()),
    new PickleGlobal("torch.Size", listOf),
    new PickleGlobal("torch.per_tensor_affine"),
    new PickleGlobal("torch.per_channel_affine"),
    new PickleGlobal("torch.device", (parts) => parts),
    new PickleGlobal("_codecs.encode", encoded),
    ...["__builtin__", "builtins"].flatMap((module) => [
      new PickleGlobal(`${module}.set`, listOf),
      new PickleGlobal(`${module}.frozenset`, listOf),
      new PickleGlobal(`${module}.bytes`, () => new Uint8Array()),
      ...["int", "long", "float", "bool", "str", "unicode", "list", "dict", "tuple"].map(
        (type) => new PickleGlobal(`${module}.${type}`),
      ),
    ]),
    ...numpyGlobals,
    new PickleGlobal("torch._utils._rebuild_tensor_v2", ([storage, offset, shape, strides]) =>
      tensorView(storage, offset, shape, strides),
    ),
    // Newer types: the storage is plain bytes, the type stands beside it.
    new PickleGlobal("torch._utils._rebuild_tensor_v3", (parts) => {
      const type = parts[6];
      return new ForeignTensor(
        `a tensor of ${type instanceof PickleGlobal ? type.name : "a type"}`,
      );
    }),
    new PickleGlobal(
      "torch._utils._rebuild_qtensor",
      () => new ForeignTensor("a quantised tensor"),
    ),
    new PickleGlobal("torch._utils._rebuild_parameter", ([tensor]) => {
      if (tensor instanceof TorchTensor || tensor instanceof ForeignTensor) return tensor;
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
    const name = type instanceof PickleGlobal ? type.name : "";
    const foreign = foreignTypes[name];
    if (tag === "storage" && foreign !== undefined) return new ForeignStorage(foreign);
    const dtype = storageTypes[name];
    if (tag !== "storage" || dtype === undefined || typeof key !== "string" || !isSize(elements))
      return undefined;
    return new TorchStorage(key, dtype, elements);
  },
};
