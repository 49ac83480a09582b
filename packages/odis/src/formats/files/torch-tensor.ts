import { arrayOf, type DType, type TypedArray } from "@odis/torch";
import { PickleObject, PickleProblem, type PickleValue } from "./pickle.js";

/** Elements in an entry of their own in the archive; several tensors may look at one. */
export class TorchStorage extends PickleObject {
  readonly kind = "a storage";

  constructor(
    readonly key: string,
    readonly dtype: DType,
    readonly elements: number,
    /** the elements themselves, where they are not in the archive */
    readonly bytes?: Uint8Array,
  ) {
    super();
  }
}

/** Elements of a type that odis does not compute with. */
export class ForeignStorage extends PickleObject {
  readonly kind = "a storage";

  constructor(readonly type: string) {
    super();
  }
}

/** A tensor that is there and cannot be read; `kind` says why. */
export class ForeignTensor extends PickleObject {
  constructor(readonly kind: string) {
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

/**
 * `torch._utils._rebuild_tensor_v2`.
 *
 * @throws PickleProblem for views that leave their storage, or repeat it without end
 */
export function tensorView(
  ...[storage, offset, shape, strides]: (PickleValue | undefined)[]
): TorchTensor | ForeignTensor {
  if (storage instanceof ForeignStorage) return new ForeignTensor(`a tensor of ${storage.type}`);
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

export function isSize(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

export function areSizes(value: PickleValue | undefined): value is readonly number[] {
  return Array.isArray(value) && value.every(isSize);
}
