import { aten, type Operand } from "./aten.js";
import { operator } from "./dispatch.js";
import type { Tensor } from "./tensor.js";

type Tensors = readonly Tensor[];

/** Joins tensors along an existing axis. */
export const cat = (tensors: Tensors, dim = 0): Tensor => aten.cat(tensors, dim);

/** Joins tensors of one shape along a new axis. */
export const stack = (tensors: Tensors, dim = 0): Tensor => aten.stack(tensors, dim);

/** `yes` where the condition holds, `no` elsewhere. */
export const where = (condition: Tensor, yes: Operand, no: Operand): Tensor =>
  aten.where(condition, yes, no);

/** @example einsum("srk,grk->sgr", student, teacher) */
export const einsum = (equation: string, ...tensors: Tensors): Tensor =>
  aten.einsum(equation, tensors);

/** x Wᵀ + b: [..., in] with W [out, in] -> [..., out] */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor =>
  aten.linear(x, weight, bias);

/** Normalises the last axes, of the given shape, to mean 0 and variance 1. */
export const layerNorm = (
  x: Tensor,
  shape: readonly number[],
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  epsilon: number,
): Tensor => aten.layerNorm(x, shape, weight, bias, epsilon);

/** Rows of a table: weight [n, D], indices [...] int64 -> [..., D] */
export const embedding = (weight: Tensor, indices: Tensor): Tensor =>
  aten.embedding(weight, indices);

export const minimum = (a: Tensor, b: Operand): Tensor => aten.minimum(a, b);
export const maximum = (a: Tensor, b: Operand): Tensor => aten.maximum(a, b);

const foreach = {
  addScalar: operator<[Tensors, number], void>("aten::_foreach_add_.Scalar"),
  addScalars: operator<[Tensors, readonly number[]], void>("aten::_foreach_add_.ScalarList"),
  addList: operator<[Tensors, Tensors, number], void>("aten::_foreach_add_.List"),
  mulScalar: operator<[Tensors, number], void>("aten::_foreach_mul_.Scalar"),
  mulScalars: operator<[Tensors, readonly number[]], void>("aten::_foreach_mul_.ScalarList"),
  mulList: operator<[Tensors, Tensors], void>("aten::_foreach_mul_.List"),
  divScalar: operator<[Tensors, number], void>("aten::_foreach_div_.Scalar"),
  divScalars: operator<[Tensors, readonly number[]], void>("aten::_foreach_div_.ScalarList"),
  divList: operator<[Tensors, Tensors], void>("aten::_foreach_div_.List"),
  sqrt: operator<[Tensors], Tensor[]>("aten::_foreach_sqrt"),
  addcmul: operator<[Tensors, Tensors, Tensors, number], void>("aten::_foreach_addcmul_.Scalar"),
  addcmulScalars: operator<[Tensors, Tensors, Tensors, readonly number[]], void>(
    "aten::_foreach_addcmul_.ScalarList",
  ),
  addcdiv: operator<[Tensors, Tensors, Tensors, number], void>("aten::_foreach_addcdiv_.Scalar"),
  addcdivScalars: operator<[Tensors, Tensors, Tensors, readonly number[]], void>(
    "aten::_foreach_addcdiv_.ScalarList",
  ),
  zero: operator<[Tensors], void>("aten::_foreach_zero_"),
  norm: operator<[Tensors, number], Tensor[]>("aten::_foreach_norm.Scalar"),
};

/** One number for all tensors, or one for each, or one tensor for each. */
export type Each = number | readonly number[] | Tensors;

const isNumbers = (each: readonly number[] | Tensors): each is readonly number[] =>
  typeof each[0] === "number";

/** tensors[i] += alpha * other[i] */
export function foreachAdd_(tensors: Tensors, other: Each, alpha = 1): void {
  if (typeof other === "number") foreach.addScalar(tensors, alpha * other);
  else if (isNumbers(other))
    foreach.addScalars(
      tensors,
      other.map((value) => alpha * value),
    );
  else foreach.addList(tensors, other, alpha);
}

/** tensors[i] *= other[i] */
export function foreachMul_(tensors: Tensors, other: Each): void {
  if (typeof other === "number") foreach.mulScalar(tensors, other);
  else if (isNumbers(other)) foreach.mulScalars(tensors, other);
  else foreach.mulList(tensors, other);
}

/** tensors[i] /= other[i] */
export function foreachDiv_(tensors: Tensors, other: Each): void {
  if (typeof other === "number") foreach.divScalar(tensors, other);
  else if (isNumbers(other)) foreach.divScalars(tensors, other);
  else foreach.divList(tensors, other);
}

/** Square roots, as new tensors. */
export const foreachSqrt = (tensors: Tensors): Tensor[] => foreach.sqrt(tensors);

/** tensors[i] += value[i] * a[i] * b[i] */
export function foreachAddcmul_(
  tensors: Tensors,
  a: Tensors,
  b: Tensors,
  value: number | readonly number[] = 1,
): void {
  if (typeof value === "number") foreach.addcmul(tensors, a, b, value);
  else foreach.addcmulScalars(tensors, a, b, value);
}

/** tensors[i] += value[i] * a[i] / b[i] */
export function foreachAddcdiv_(
  tensors: Tensors,
  a: Tensors,
  b: Tensors,
  value: number | readonly number[] = 1,
): void {
  if (typeof value === "number") foreach.addcdiv(tensors, a, b, value);
  else foreach.addcdivScalars(tensors, a, b, value);
}

export function foreachZero_(tensors: Tensors): void {
  foreach.zero(tensors);
}

/** The p-norm of each tensor, as tensors of one element. */
export const foreachNorm = (tensors: Tensors, p = 2): Tensor[] => foreach.norm(tensors, p);
