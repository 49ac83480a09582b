import { aten } from "./aten.js";
import { arrayOf, type DType, type TypedArray } from "./dtype.js";
import { EngineError, ShapeError } from "./errors.js";
import { type Handled, native } from "./native.js";
import { fromHandle, type Tensor } from "./tensor.js";

export interface Options {
  /** default float32, where the data does not say otherwise */
  readonly dtype?: DType;
  /** default "cpu" */
  readonly device?: string;
}

/** Numbers in arrays in arrays. */
export type Nested = number | boolean | bigint | readonly Nested[];

/** The dtype that an array class holds; Uint16Array is told apart by `dtype` alone. */
function dtypeOf(data: TypedArray, wanted: DType | undefined): DType {
  const fits = (dtype: DType): boolean => data instanceof arrayOf[dtype];
  if (wanted !== undefined && fits(wanted)) return wanted;
  if (data instanceof Uint16Array) {
    throw new EngineError(
      `fromBuffer: got a Uint16Array${wanted ? ` for ${wanted}` : ""}, which carries float16 or ` +
        `bfloat16 bits; wanted dtype to say which of the two`,
    );
  }
  const found = (["float32", "float64", "int64", "int32", "uint8"] as const).find(fits);
  if (found === undefined) {
    throw new EngineError(
      `fromBuffer: got ${Object.prototype.toString.call(data).slice(8, -1)}, wanted a Float32Array, ` +
        `Float64Array, BigInt64Array, Int32Array, Uint8Array or Uint16Array`,
    );
  }
  return found;
}

export interface BufferOptions extends Options {
  /**
   * Page-locked memory, from which `to({ device, nonBlocking: true })` uploads while the host goes on.
   * Plain memory where there is no GPU.
   */
  readonly pinned?: boolean;
}

/**
 * A tensor with a copy of an array's elements (one memcpy; the array may lie on a
 * SharedArrayBuffer). Another `dtype` than the array's converts the elements. For a GPU the copy
 * goes through page-locked memory, and nobody waits for the upload.
 *
 * @param shape default: one axis with all elements
 */
export function fromBuffer(
  data: TypedArray,
  shape: readonly number[] = [data.length],
  { dtype, device = "cpu", pinned = false }: BufferOptions = {},
): Tensor {
  const held = dtypeOf(data, dtype);
  const made = fromHandle(native().fromBuffer(data, shape, held, pinned || device !== "cpu"));
  if ((dtype ?? held) === held && device === "cpu") return made;
  const converted = made.to({ ...(dtype && { dtype }), device, nonBlocking: true });
  made.free();
  return converted;
}

/** Shape of nested arrays; every array of a level must have the same length. */
function shapeOf(data: Nested): number[] {
  const shape: number[] = [];
  for (let level = data; Array.isArray(level); level = level[0] as Nested) {
    shape.push(level.length);
    if (level.length === 0) break;
  }
  return shape;
}

function flattenInto(
  flat: (number | bigint)[],
  data: Nested,
  shape: readonly number[],
  axis: number,
): void {
  if (axis === shape.length) {
    if (typeof data === "object")
      throw new ShapeError("tensor: got arrays nested to different depths");
    flat.push(typeof data === "boolean" ? Number(data) : data);
    return;
  }
  if (!Array.isArray(data) || data.length !== shape[axis]) {
    throw new ShapeError(
      `tensor: got ${Array.isArray(data) ? `an array of ${data.length}` : typeof data} on axis ${axis}, ` +
        `wanted arrays of ${shape[axis]} like the first`,
    );
  }
  for (const item of data as readonly Nested[]) flattenInto(flat, item, shape, axis + 1);
}

/** Whole numbers for the integer dtypes; nothing is rounded on the way. */
function pack(flat: readonly (number | bigint)[], dtype: DType): TypedArray {
  if (dtype === "int64") {
    return BigInt64Array.from(flat, (value) => {
      if (typeof value === "number" && !Number.isSafeInteger(value)) {
        throw new EngineError(`tensor: got ${value} for int64, wanted an integer`);
      }
      return BigInt(value);
    });
  }
  const numbers = flat.map(Number);
  if (dtype === "bool") return Uint8Array.from(numbers, (value) => (value !== 0 ? 1 : 0));
  if (dtype === "uint8" || dtype === "int32") {
    const [least, most] = dtype === "uint8" ? [0, 255] : [-(2 ** 31), 2 ** 31 - 1];
    const wrong = numbers.find(
      (value) => !Number.isInteger(value) || value < least || value > most,
    );
    if (wrong !== undefined) {
      throw new EngineError(
        `tensor: got ${wrong} for ${dtype}, wanted an integer from ${least} to ${most}`,
      );
    }
    return arrayOf[dtype].from(numbers);
  }
  return dtype === "float64" ? Float64Array.from(numbers) : Float32Array.from(numbers);
}

/**
 * A tensor with a copy of the data: a typed array, or numbers in nested arrays (float32 unless
 * `dtype` says otherwise; int64 also from bigints).
 *
 * @throws ShapeError when the arrays are ragged or `shape` has another number of elements
 */
export function tensor(
  data: TypedArray | Nested,
  shape?: readonly number[],
  options: Options = {},
): Tensor {
  if (ArrayBuffer.isView(data)) return fromBuffer(data, shape, options);
  const nested = shapeOf(data);
  const flat: (number | bigint)[] = [];
  flattenInto(flat, data, nested, 0);
  const dtype = options.dtype ?? "float32";
  return fromBuffer(pack(flat, dtype), shape ?? nested, { ...options, dtype });
}

export const empty = (
  shape: readonly number[],
  { dtype = "float32", device }: Options = {},
): Tensor => aten.empty(shape, dtype, undefined, device);

export const zeros = (
  shape: readonly number[],
  { dtype = "float32", device }: Options = {},
): Tensor => aten.zeros(shape, dtype, undefined, device);

export const ones = (
  shape: readonly number[],
  { dtype = "float32", device }: Options = {},
): Tensor => aten.ones(shape, dtype, undefined, device);

export const full = (
  shape: readonly number[],
  value: number | boolean,
  { dtype = "float32", device }: Options = {},
): Tensor => aten.full(shape, value, dtype, undefined, device);

/** Ones on the diagonal: [rows, columns] */
export const eye = (
  rows: number,
  { columns = rows, dtype = "float32", device }: Options & { readonly columns?: number } = {},
): Tensor => aten.eye(rows, columns, dtype, undefined, device);

/** `arange(end)` or `arange(start, end, step)`, end excluded; int64 unless `dtype` says otherwise. */
export function arange(end: number, options?: Options): Tensor;
export function arange(start: number, end: number, step?: number, options?: Options): Tensor;
export function arange(
  first: number,
  second?: number | Options,
  step = 1,
  options: Options = {},
): Tensor {
  const ranged = typeof second === "number";
  const { dtype = "int64", device } = ranged ? options : (second ?? {});
  return aten.arange(ranged ? first : 0, ranged ? second : first, step, dtype, undefined, device);
}

export const zerosLike = (like: Tensor, { dtype, device }: Options = {}): Tensor =>
  aten.zerosLike(like, dtype, undefined, device);

/** The numbers 0..n-1 in random order, int64. */
export const randperm = (
  n: number,
  { generator, dtype = "int64", device }: Options & { readonly generator?: Handled } = {},
): Tensor => aten.randperm(n, generator, dtype, undefined, device);
