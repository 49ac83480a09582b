import { aten, type Operand } from "./aten.js";
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
