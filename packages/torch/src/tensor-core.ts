import { arrayOf, type DType, type TypedArray } from "./dtype.js";
import { EngineError, ShapeError } from "./errors.js";
import { type Handle, handleKey, native } from "./native.js";
import { adopt } from "./scope.js";

/** Shape of `n` axes, so that destructuring it gives numbers. */
export interface DimsOf {
  1: readonly [number];
  2: readonly [number, number];
  3: readonly [number, number, number];
  4: readonly [number, number, number, number];
  5: readonly [number, number, number, number, number];
}

/** float16 bits to a number. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** bfloat16 bits to a number: the upper half of a float32. */
function bfloatToNumber(bits: number): number {
  const word = new Uint32Array([bits << 16]);
  return new Float32Array(word.buffer)[0] ?? Number.NaN;
}

/**
 * What a tensor is besides its operators: an owned handle, its description, its elements, and its
 * place in autograd. All errors are EngineErrors; using a freed tensor is a UseAfterFreeError.
 */
export abstract class TensorCore {
  /** @internal */
  readonly [handleKey]: Handle;

  /** @internal tensors come from operators and from the functions of creation.ts */
  constructor(handle: Handle) {
    this[handleKey] = handle;
    adopt(this);
  }

  get shape(): readonly number[] {
    return native().shape(this[handleKey]);
  }

  /** Element type; operators called by name may also make others, such as "complex64". */
  get dtype(): DType {
    return native().dtype(this[handleKey]) as DType;
  }

  /** "cpu", "cuda:0", … */
  get device(): string {
    return native().device(this[handleKey]);
  }

  /** Number of elements. */
  get size(): number {
    return native().size(this[handleKey]);
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }

  /**
   * The shape, which must have `n` axes: `const [B, T, D] = x.dims(3)`.
   *
   * @throws ShapeError that names the shape
   */
  dims<N extends keyof DimsOf>(n: N): DimsOf[N] {
    const shape = this.shape;
    if (shape.length !== n) {
      throw new ShapeError(`dims: got a tensor of shape [${shape.join(", ")}], wanted ${n} axes`);
    }
    return shape as unknown as DimsOf[N];
  }

  /**
   * The only element as a number (bool as 0 or 1).
   *
   * @throws ShapeError when there is not exactly one element
   */
  item(): number {
    return native().item(this[handleKey]);
  }

  /** A row-major copy in the array class of the dtype (`arrayOf`). */
  toArray(): TypedArray {
    const { dtype } = this;
    if (!Object.hasOwn(arrayOf, dtype)) {
      throw new EngineError(`toArray: dtype ${dtype} has no typed array; convert it first`);
    }
    const data = new arrayOf[dtype](this.size);
    native().read(this[handleKey], data);
    return data;
  }

  /** Copies the elements, row-major, into an array of the dtype's class and exactly this size. */
  copyInto(data: TypedArray): void {
    native().read(this[handleKey], data);
  }

  /** The elements as numbers; int64 beyond 2^53 is refused rather than rounded. */
  toNumbers(): number[] {
    const data = this.toArray();
    if (data instanceof BigInt64Array) {
      return Array.from(data, (value) => {
        const number = Number(value);
        if (!Number.isSafeInteger(number)) {
          throw new EngineError(`toNumbers: ${value} is no exact number; use toArray()`);
        }
        return number;
      });
    }
    if (data instanceof Uint16Array) {
      return Array.from(data, this.dtype === "float16" ? halfToNumber : bfloatToNumber);
    }
    return Array.from(data);
  }

  /** The elements as float32, converted where the dtype is another. */
  toFloat32(): Float32Array {
    const data = this.toArray();
    return data instanceof Float32Array ? data : Float32Array.from(this.toNumbers());
  }

  /** Whether the tensor was freed, by its scope or by `free()`. */
  get freed(): boolean {
    return !native().alive(this[handleKey]);
  }

  /** Frees the tensor now; again is no error. What autograd still needs of it stays with autograd. */
  free(): void {
    native().free(this[handleKey]);
  }

  [Symbol.dispose](): void {
    this.free();
  }

  get requiresGrad(): boolean {
    return native().requiresGrad(this[handleKey]);
  }

  /** Whether autograd would leave a gradient here: a tensor that no operator made. */
  get isLeaf(): boolean {
    return native().isLeaf(this[handleKey]);
  }

  /** Asks autograd to collect a gradient for this tensor, or no longer. */
  requiresGrad_(on = true): this {
    native().setRequiresGrad(this[handleKey], on);
    return this;
  }

  toString(): string {
    if (this.freed) return "Tensor (freed)";
    const { dtype, shape, device } = this;
    return `Tensor ${dtype}[${shape.join(", ")}]${device === "cpu" ? "" : ` on ${device}`}`;
  }

  /** What console.log shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
