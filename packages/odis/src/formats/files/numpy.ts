import { arrayOf, type DType } from "@odis/torch";
import { PickleGlobal, PickleObject, PickleProblem, type PickleValue } from "./pickle.js";
import { areSizes, ForeignTensor, TorchStorage, TorchTensor } from "./torch-tensor.js";

/**
 * NumPy's arrays and scalars in a pickle. Trainers leave them in checkpoints (an accuracy, a state
 * of a generator), and some converters write weights as arrays.
 */

/** NumPy's type codes -> ours; all little-endian. */
const dtypes: Readonly<Record<string, DType>> = {
  f8: "float64",
  f4: "float32",
  f2: "float16",
  i8: "int64",
  i4: "int32",
  u1: "uint8",
  b1: "bool",
};

class NumpyType extends PickleObject {
  readonly kind = "a NumPy type";
  private bigEndian = false;

  constructor(private readonly code: string) {
    super();
  }

  /** (version, byte order, ...) */
  override build(state: PickleValue): boolean {
    if (!Array.isArray(state)) return false;
    this.bigEndian = state[1] === ">";
    return true;
  }

  get dtype(): DType | undefined {
    return this.bigEndian ? undefined : dtypes[this.code];
  }

  get name(): string {
    return `${this.bigEndian ? "big-endian " : ""}${this.code}`;
  }
}

/** An array whose contents come after it. */
export class NumpyArray extends PickleObject {
  readonly kind = "a NumPy array";
  private made: TorchTensor | ForeignTensor = new ForeignTensor("an empty NumPy array");

  get tensor(): TorchTensor | ForeignTensor {
    return this.made;
  }

  /** (version, shape, type, column by column?, bytes) */
  override build(state: PickleValue): boolean {
    const [, shape, type, columns, bytes] = Array.isArray(state)
      ? (state as readonly PickleValue[])
      : [];
    if (!(areSizes(shape) && type instanceof NumpyType)) return false;
    this.made =
      type.dtype !== undefined && bytes instanceof Uint8Array
        ? arrayView(type.dtype, shape, columns === true, bytes)
        : new ForeignTensor(`a NumPy array of ${type.name}`);
    return true;
  }
}

function arrayView(
  dtype: DType,
  shape: readonly number[],
  columns: boolean,
  bytes: Uint8Array,
): TorchTensor {
  const width = arrayOf[dtype].BYTES_PER_ELEMENT;
  const sides = columns ? shape : shape.toReversed();
  let step = 1;
  const steps = sides.map((side) => {
    const mine = step;
    step *= side;
    return mine;
  });
  if (step * width !== bytes.length)
    throw new PickleProblem(
      `a NumPy array of shape [${shape.slice(0, 8).join(", ")}] with ${bytes.length} bytes`,
    );
  const storage = new TorchStorage("", dtype, step, bytes);
  return new TorchTensor(storage, 0, shape, columns ? steps : steps.toReversed());
}

/** A single number is a number; an object of another kind says nothing to anybody here. */
function scalar([type, bytes]: readonly PickleValue[]): PickleValue {
  if (!(type instanceof NumpyType && bytes instanceof Uint8Array))
    throw new PickleProblem("a NumPy scalar without type and bytes");
  const { dtype } = type;
  if (dtype === undefined || dtype === "float16") return null;
  const width = arrayOf[dtype].BYTES_PER_ELEMENT;
  if (bytes.length !== width)
    throw new PickleProblem(`a NumPy scalar of ${type.name} with ${bytes.length} bytes`);
  const [value] = new arrayOf[dtype](Uint8Array.from(bytes).buffer);
  return dtype === "bool" ? value === 1 : Number(value);
}

/** By the names that NumPy 1 and 2 write. */
export const numpyGlobals: readonly PickleGlobal[] = [
  new PickleGlobal("numpy.ndarray"),
  new PickleGlobal("numpy.dtype", ([code]) => {
    if (typeof code === "string") return new NumpyType(code);
    throw new PickleProblem("a NumPy type without a code");
  }),
  ...["numpy.core.multiarray", "numpy._core.multiarray"].flatMap((module) => [
    new PickleGlobal(`${module}._reconstruct`, () => new NumpyArray()),
    new PickleGlobal(`${module}.scalar`, scalar),
  ]),
];
