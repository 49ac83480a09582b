import { type Axes, aten, type Operand } from "./aten.js";
import { setTensorMaker } from "./dispatch.js";
import type { DType } from "./dtype.js";
import { type Handle, type Handled, handleKey, native } from "./native.js";
import { TensorCore } from "./tensor-core.js";

export interface BackwardOptions {
  /** keep the graph, to go backward through it again */
  readonly retainGraph?: boolean;
  /** let the gradients be differentiated in turn (implies retainGraph) */
  readonly createGraph?: boolean;
}

export interface ConvOptions {
  readonly stride?: Axes;
  readonly padding?: Axes;
  readonly dilation?: Axes;
  readonly groups?: number;
}

export interface ResizeOptions {
  readonly alignCorners?: boolean;
  /** sampling steps as out/in ratios per axis, where they shall differ from size/size */
  readonly scales?: readonly [height: number, width: number];
}

export interface ToOptions {
  readonly dtype?: DType;
  readonly device?: string;
  readonly nonBlocking?: boolean;
}

/** One tensor or null (`:`) per axis; a tensor alone indexes the first axis. */
export type Indices = Tensor | readonly (Tensor | null)[];

const list = (indices: Indices): readonly (Tensor | null)[] =>
  indices instanceof Tensor ? [indices] : indices;

/**
 * A LibTorch tensor. Methods mean what PyTorch's of the same name mean (in camelCase); those that
 * end in `_` work in place and return this very object. An operand may be a number.
 *
 * A tensor belongs to the scope that it was made in (see `tensorScope` and `tidy`), or to the
 * garbage collector where no scope is open.
 */
export class Tensor extends TensorCore {
  /** The gradient that `backward` left here. It can be set to undefined to drop it. */
  get grad(): Tensor | undefined {
    const handle = native().grad(this[handleKey]);
    return handle === null ? undefined : new Tensor(handle);
  }

  set grad(gradient: Tensor | undefined) {
    native().setGrad(this[handleKey], gradient);
  }

  /**
   * Adds the gradient of this tensor to `grad` of every leaf it was computed from.
   *
   * @param gradient the gradient with respect to this tensor; may be left out for one element
   */
  backward(gradient?: Tensor, { retainGraph, createGraph }: BackwardOptions = {}): void {
    const keep = retainGraph ?? createGraph ?? false;
    native().backward([this], gradient && [gradient], keep, createGraph ?? false);
  }

  // arithmetic

  /** this + alpha * other */
  add(other: Operand, alpha?: number): Tensor {
    return aten.add(this, other, alpha);
  }
  /** this - alpha * other */
  sub(other: Operand, alpha?: number): Tensor {
    return aten.sub(this, other, alpha);
  }
  mul(other: Operand): Tensor {
    return aten.mul(this, other);
  }
  div(other: Operand): Tensor {
    return aten.div(this, other);
  }
  pow(exponent: Operand): Tensor {
    return typeof exponent === "number"
      ? aten.powScalar(this, exponent)
      : aten.powTensor(this, exponent);
  }
  neg(): Tensor {
    return aten.neg(this);
  }
  abs(): Tensor {
    return aten.abs(this);
  }
  exp(): Tensor {
    return aten.exp(this);
  }
  log(): Tensor {
    return aten.log(this);
  }
  sqrt(): Tensor {
    return aten.sqrt(this);
  }
  sign(): Tensor {
    return aten.sign(this);
  }
  sin(): Tensor {
    return aten.sin(this);
  }
  cos(): Tensor {
    return aten.cos(this);
  }
  floor(): Tensor {
    return aten.floor(this);
  }
  /** Half to even. */
  round(): Tensor {
    return aten.round(this);
  }
  clamp(min?: number, max?: number): Tensor {
    return aten.clamp(this, min, max);
  }
  clampMin(min: number): Tensor {
    return aten.clampMin(this, min);
  }
  minimum(other: Operand): Tensor {
    return aten.minimum(this, other);
  }
  maximum(other: Operand): Tensor {
    return aten.maximum(this, other);
  }

  // products

  matmul(other: Tensor): Tensor {
    return aten.matmul(this, other);
  }
  /** X with `this @ X = right`: [n, n] and [n, k] -> [n, k]; `this` must be invertible. */
  solve(right: Tensor): Tensor {
    return aten.solve(this, right);
  }

  /** Of a symmetric matrix [n, n]: eigenvalues, smallest first, and eigenvectors as columns. */
  eigh(): readonly [values: Tensor, vectors: Tensor] {
    return aten.eigh(this, "L");
  }
  bmm(other: Tensor): Tensor {
    return aten.bmm(this, other);
  }
  /** this [B, C, H, W], weight [out, C / groups, h, w] */
  conv2d(weight: Tensor, bias?: Tensor, options: ConvOptions = {}): Tensor {
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
    return aten.conv2d(this, weight, bias, stride, padding, dilation, groups);
  }

  // layers

  /** `tanh` is the cheaper approximation; the default is exact (erf). */
  gelu(approximate: "none" | "tanh" = "none"): Tensor {
    return aten.gelu(this, approximate);
  }
  silu(): Tensor {
    return aten.silu(this);
  }
  softmax(dim: number, dtype?: DType): Tensor {
    return aten.softmax(this, dim, dtype);
  }
  logSoftmax(dim: number, dtype?: DType): Tensor {
    return aten.logSoftmax(this, dim, dtype);
  }
  /** this [B, C, H, W] -> [B, C, ...size] */
  upsampleBilinear2d(size: readonly number[], options: ResizeOptions = {}): Tensor {
    const { alignCorners = false, scales = [] } = options;
    return aten.bilinear(this, size, alignCorners, scales[0], scales[1]);
  }

  // reductions: over all elements, or over `dim`

  sum(dim?: Axes, keepdim = false): Tensor {
    return dim === undefined ? aten.sum(this) : aten.sumDim(this, dim, keepdim);
  }
  mean(dim?: Axes, keepdim = false): Tensor {
    return dim === undefined ? aten.mean(this) : aten.meanDim(this, dim, keepdim);
  }
  logsumexp(dim: Axes, keepdim = false): Tensor {
    return aten.logsumexp(this, dim, keepdim);
  }
  max(): Tensor;
  max(dim: number, keepdim?: boolean): readonly [values: Tensor, indices: Tensor];
  max(dim?: number, keepdim = false): Tensor | readonly [Tensor, Tensor] {
    return dim === undefined ? aten.max(this) : aten.maxDim(this, dim, keepdim);
  }
  min(): Tensor;
  min(dim: number, keepdim?: boolean): readonly [values: Tensor, indices: Tensor];
  min(dim?: number, keepdim = false): Tensor | readonly [Tensor, Tensor] {
    return dim === undefined ? aten.min(this) : aten.minDim(this, dim, keepdim);
  }
  argmax(dim?: number, keepdim = false): Tensor {
    return aten.argmax(this, dim, keepdim);
  }
  amax(dim?: Axes, keepdim = false): Tensor {
    return aten.amax(this, dim, keepdim);
  }
  all(dim?: number, keepdim = false): Tensor {
    return dim === undefined ? aten.all(this) : aten.allDim(this, dim, keepdim);
  }
  /** The p-norm over all elements, or over `dim`. */
  norm(dim?: Axes, p = 2, keepdim = false): Tensor {
    return dim === undefined ? aten.norm(this, p) : aten.normDim(this, p, dim, keepdim);
  }
  cumsum(dim: number): Tensor {
    return aten.cumsum(this, dim);
  }
  topk(k: number, dim = -1, largest = true): readonly [values: Tensor, indices: Tensor] {
    return aten.topk(this, k, dim, largest, true);
  }
  sort(dim = -1, descending = false): readonly [values: Tensor, indices: Tensor] {
    return aten.sort(this, dim, descending);
  }

  // shape

  reshape(shape: readonly number[]): Tensor {
    return aten.reshape(this, shape);
  }
  flatten(start = 0, end = -1): Tensor {
    return aten.flatten(this, start, end);
  }
  permute(order: readonly number[]): Tensor {
    return aten.permute(this, order);
  }
  transpose(a: number, b: number): Tensor {
    return aten.transpose(this, a, b);
  }
  unsqueeze(dim: number): Tensor {
    return aten.unsqueeze(this, dim);
  }
  squeeze(dim?: number): Tensor {
    return dim === undefined ? aten.squeeze(this) : aten.squeezeDim(this, dim);
  }
  /** -1 keeps an axis as it is. */
  expand(shape: readonly number[]): Tensor {
    return aten.expand(this, shape);
  }
  repeat(counts: readonly number[]): Tensor {
    return aten.repeat(this, counts);
  }
  repeatInterleave(count: number, dim?: number): Tensor {
    return aten.repeatInterleave(this, count, dim);
  }
  unbind(dim = 0): Tensor[] {
    return aten.unbind(this, dim);
  }
  /** Pieces of one size (the last may be smaller), or of the sizes given. */
  split(size: Axes, dim = 0): Tensor[] {
    return typeof size === "number"
      ? aten.split(this, size, dim)
      : aten.splitSizes(this, size, dim);
  }
  chunk(count: number, dim = 0): Tensor[] {
    return aten.chunk(this, count, dim);
  }

  // choosing elements

  select(dim: number, index: number): Tensor {
    return aten.select(this, dim, index);
  }
  narrow(dim: number, start: number, length: number): Tensor {
    return aten.narrow(this, dim, start, length);
  }
  slice(dim: number, start?: number, end?: number, step?: number): Tensor {
    return aten.slice(this, dim, start, end, step);
  }
  indexSelect(dim: number, index: Tensor): Tensor {
    return aten.indexSelect(this, dim, index);
  }
  /** this[indices], by int64 positions or by a bool tensor */
  index(indices: Indices): Tensor {
    return aten.index(this, list(indices));
  }
  indexAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return aten.indexAdd(this, dim, index, source);
  }
  gather(dim: number, index: Tensor): Tensor {
    return aten.gather(this, dim, index);
  }
  scatterAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return aten.scatterAdd(this, dim, index, source);
  }
  /** `value` where the condition holds, this elsewhere. */
  maskedFill(condition: Tensor, value: Operand): Tensor {
    return typeof value === "number"
      ? aten.maskedFill(this, condition, value)
      : aten.maskedFillTensor(this, condition, value);
  }
  /** Positions of elements that are not zero: [n, rank] int64. */
  nonzero(): Tensor {
    return aten.nonzero(this);
  }
  /** This as condition: `yes` where true, `no` elsewhere. */
  where(yes: Operand, no: Operand): Tensor {
    return aten.where(this, yes, no);
  }

  // comparisons: bool tensors

  eq(other: Operand): Tensor {
    return aten.eq(this, other);
  }
  ne(other: Operand): Tensor {
    return aten.ne(this, other);
  }
  gt(other: Operand): Tensor {
    return aten.gt(this, other);
  }
  ge(other: Operand): Tensor {
    return aten.ge(this, other);
  }
  lt(other: Operand): Tensor {
    return aten.lt(this, other);
  }
  le(other: Operand): Tensor {
    return aten.le(this, other);
  }
  logicalAnd(other: Tensor): Tensor {
    return aten.logicalAnd(this, other);
  }
  logicalNot(): Tensor {
    return aten.logicalNot(this);
  }
  isfinite(): Tensor {
    return aten.isfinite(this);
  }

  // copies

  /**
   * Itself where nothing changes, as in PyTorch. With `nonBlocking` a page-locked tensor is uploaded
   * while the host goes on; what is queued on the device afterwards waits for it by itself. A
   * download always waits, since what it brings may be read at once.
   */
  to({ dtype, device, nonBlocking = false }: ToOptions): Tensor {
    return device === undefined && dtype !== undefined
      ? aten.toDtype(this, dtype)
      : aten.to(this, dtype, undefined, device, undefined, nonBlocking && device !== "cpu");
  }
  float(): Tensor {
    return aten.toDtype(this, "float32");
  }
  double(): Tensor {
    return aten.toDtype(this, "float64");
  }
  bool(): Tensor {
    return aten.toDtype(this, "bool");
  }
  contiguous(): Tensor {
    return aten.contiguous(this);
  }
  clone(): Tensor {
    return aten.clone(this);
  }
  /** The same memory, unknown to autograd. */
  detach(): Tensor {
    return aten.detach(this);
  }

  // in place

  add_(other: Operand, alpha?: number): this {
    aten.add_(this, other, alpha);
    return this;
  }
  sub_(other: Operand, alpha?: number): this {
    aten.sub_(this, other, alpha);
    return this;
  }
  mul_(other: Operand): this {
    aten.mul_(this, other);
    return this;
  }
  div_(other: Operand): this {
    aten.div_(this, other);
    return this;
  }
  /** this += value * a * b */
  addcmul_(a: Tensor, b: Tensor, value = 1): this {
    aten.addcmul_(this, a, b, value);
    return this;
  }
  copy_(source: Tensor): this {
    aten.copy_(this, source);
    return this;
  }
  /** The slices of these numbers become those of `source`; no number twice. */
  indexCopy_(dim: number, index: Tensor, source: Tensor): this {
    aten.indexCopy_(this, dim, index, source);
    return this;
  }
  zero_(): this {
    aten.zero_(this);
    return this;
  }
  fill_(value: number): this {
    aten.fill_(this, value);
    return this;
  }
  clamp_(min?: number, max?: number): this {
    aten.clamp_(this, min, max);
    return this;
  }
  erfinv_(): this {
    aten.erfinv_(this);
    return this;
  }
  normal_(mean = 0, std = 1, generator?: Handled): this {
    aten.normal_(this, mean, std, generator);
    return this;
  }
  /** Uniform in [from, to). */
  uniform_(from = 0, to = 1, generator?: Handled): this {
    aten.uniform_(this, from, to, generator);
    return this;
  }
  /** 1 with probability p, else 0. */
  bernoulli_(p = 0.5, generator?: Handled): this {
    aten.bernoulli_(this, p, generator);
    return this;
  }
}

/** @internal */
export const fromHandle = (handle: Handle): Tensor => new Tensor(handle);
setTensorMaker(fromHandle);
