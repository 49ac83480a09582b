import { operator } from "./dispatch.js";
import type { DType } from "./dtype.js";
import type { Handled } from "./native.js";
import type { Tensor } from "./tensor.js";

/** A tensor, or a number that broadcasts against one without deciding the dtype. */
export type Operand = Tensor | number;

/** One axis or several. */
export type Axes = number | readonly number[];

type Tensors = readonly Tensor[];
type Shape = readonly number[];
type Pair = readonly [Tensor, Tensor];
type Random = Handled | undefined;
type Factory = [dtype?: DType, layout?: undefined, device?: string];

/**
 * The operators behind the typed surface, by the names of LibTorch's schemas. Arguments are in
 * schema order; the meaning is PyTorch's. One per line, so that the list can be read.
 */
export const aten = {
  // arithmetic
  add: operator<[Tensor, Operand, number?]>("aten::add.Tensor"),
  sub: operator<[Tensor, Operand, number?]>("aten::sub.Tensor"),
  mul: operator<[Tensor, Operand]>("aten::mul.Tensor"),
  div: operator<[Tensor, Operand]>("aten::div.Tensor"),
  powTensor: operator<[Tensor, Tensor]>("aten::pow.Tensor_Tensor"),
  powScalar: operator<[Tensor, number]>("aten::pow.Tensor_Scalar"),
  neg: operator<[Tensor]>("aten::neg"),
  abs: operator<[Tensor]>("aten::abs"),
  exp: operator<[Tensor]>("aten::exp"),
  log: operator<[Tensor]>("aten::log"),
  sqrt: operator<[Tensor]>("aten::sqrt"),
  sign: operator<[Tensor]>("aten::sign"),
  sin: operator<[Tensor]>("aten::sin"),
  cos: operator<[Tensor]>("aten::cos"),
  floor: operator<[Tensor]>("aten::floor"),
  round: operator<[Tensor]>("aten::round"),
  clamp: operator<[Tensor, number?, number?]>("aten::clamp"),
  clampMin: operator<[Tensor, number]>("aten::clamp_min"),
  minimum: operator<[Tensor, Operand]>("aten::minimum"),
  maximum: operator<[Tensor, Operand]>("aten::maximum"),

  // products
  matmul: operator<[Tensor, Tensor]>("aten::matmul"),
  bmm: operator<[Tensor, Tensor]>("aten::bmm"),
  linear: operator<[Tensor, Tensor, Tensor?]>("aten::linear"),
  eigh: operator<[Tensor, string], Pair>("aten::linalg_eigh"),
  solve: operator<[Tensor, Tensor]>("aten::linalg_solve"),
  einsum: operator<[string, Tensors]>("aten::einsum"),
  conv2d: operator<[Tensor, Tensor, Tensor | undefined, Axes, Axes, Axes, number]>("aten::conv2d"),

  // layers
  gelu: operator<[Tensor, "none" | "tanh"]>("aten::gelu"),
  silu: operator<[Tensor]>("aten::silu"),
  softmax: operator<[Tensor, number, DType?]>("aten::softmax.int"),
  logSoftmax: operator<[Tensor, number, DType?]>("aten::log_softmax.int"),
  layerNorm:
    operator<[Tensor, Shape, Tensor | undefined, Tensor | undefined, number]>("aten::layer_norm"),
  embedding: operator<[Tensor, Tensor]>("aten::embedding"),
  bilinear: operator<[Tensor, Shape, boolean, number?, number?]>("aten::upsample_bilinear2d"),

  // reductions
  sum: operator<[Tensor]>("aten::sum"),
  sumDim: operator<[Tensor, Axes, boolean, DType?]>("aten::sum.dim_IntList"),
  mean: operator<[Tensor]>("aten::mean"),
  meanDim: operator<[Tensor, Axes, boolean, DType?]>("aten::mean.dim"),
  logsumexp: operator<[Tensor, Axes, boolean]>("aten::logsumexp"),
  max: operator<[Tensor]>("aten::max"),
  maxDim: operator<[Tensor, number, boolean], Pair>("aten::max.dim"),
  min: operator<[Tensor]>("aten::min"),
  minDim: operator<[Tensor, number, boolean], Pair>("aten::min.dim"),
  argmax: operator<[Tensor, number | undefined, boolean]>("aten::argmax"),
  amax: operator<[Tensor, Axes | undefined, boolean]>("aten::amax"),
  all: operator<[Tensor]>("aten::all"),
  allDim: operator<[Tensor, number, boolean]>("aten::all.dim"),
  norm: operator<[Tensor, number]>("aten::norm.Scalar"),
  normDim: operator<[Tensor, number, Axes, boolean]>("aten::norm.ScalarOpt_dim"),
  cumsum: operator<[Tensor, number]>("aten::cumsum"),
  topk: operator<[Tensor, number, number, boolean, boolean], Pair>("aten::topk"),
  sort: operator<[Tensor, number, boolean], Pair>("aten::sort"),

  // shape
  reshape: operator<[Tensor, Shape]>("aten::reshape"),
  flatten: operator<[Tensor, number, number]>("aten::flatten.using_ints"),
  permute: operator<[Tensor, Shape]>("aten::permute"),
  transpose: operator<[Tensor, number, number]>("aten::transpose.int"),
  unsqueeze: operator<[Tensor, number]>("aten::unsqueeze"),
  squeeze: operator<[Tensor]>("aten::squeeze"),
  squeezeDim: operator<[Tensor, number]>("aten::squeeze.dim"),
  expand: operator<[Tensor, Shape]>("aten::expand"),
  repeat: operator<[Tensor, Shape]>("aten::repeat"),
  repeatInterleave: operator<[Tensor, number, number | undefined]>(
    "aten::repeat_interleave.self_int",
  ),
  cat: operator<[Tensors, number]>("aten::cat"),
  stack: operator<[Tensors, number]>("aten::stack"),
  unbind: operator<[Tensor, number], Tensor[]>("aten::unbind.int"),
  split: operator<[Tensor, number, number], Tensor[]>("aten::split.Tensor"),
  splitSizes: operator<[Tensor, Shape, number], Tensor[]>("aten::split_with_sizes"),
  chunk: operator<[Tensor, number, number], Tensor[]>("aten::chunk"),

  // choosing elements
  select: operator<[Tensor, number, number]>("aten::select.int"),
  narrow: operator<[Tensor, number, number, number]>("aten::narrow"),
  slice: operator<[Tensor, number, number?, number?, number?]>("aten::slice.Tensor"),
  indexSelect: operator<[Tensor, number, Tensor]>("aten::index_select"),
  index: operator<[Tensor, readonly (Tensor | null)[]]>("aten::index.Tensor"),
  indexAdd: operator<[Tensor, number, Tensor, Tensor]>("aten::index_add"),
  gather: operator<[Tensor, number, Tensor]>("aten::gather"),
  scatterAdd: operator<[Tensor, number, Tensor, Tensor]>("aten::scatter_add"),
  maskedFill: operator<[Tensor, Tensor, number]>("aten::masked_fill.Scalar"),
  maskedFillTensor: operator<[Tensor, Tensor, Tensor]>("aten::masked_fill.Tensor"),
  nonzero: operator<[Tensor]>("aten::nonzero"),
  where: operator<[Tensor, Operand, Operand]>("aten::where.self"),

  // comparisons
  eq: operator<[Tensor, Operand]>("aten::eq.Tensor"),
  ne: operator<[Tensor, Operand]>("aten::ne.Tensor"),
  gt: operator<[Tensor, Operand]>("aten::gt.Tensor"),
  ge: operator<[Tensor, Operand]>("aten::ge.Tensor"),
  lt: operator<[Tensor, Operand]>("aten::lt.Tensor"),
  le: operator<[Tensor, Operand]>("aten::le.Tensor"),
  logicalAnd: operator<[Tensor, Tensor]>("aten::logical_and"),
  logicalNot: operator<[Tensor]>("aten::logical_not"),
  isfinite: operator<[Tensor]>("aten::isfinite"),

  // copies
  to: operator<[Tensor, DType?, undefined?, string?, undefined?, boolean?]>(
    "aten::to.dtype_layout",
  ),
  toDtype: operator<[Tensor, DType]>("aten::to.dtype"),
  contiguous: operator<[Tensor]>("aten::contiguous"),
  clone: operator<[Tensor]>("aten::clone"),
  detach: operator<[Tensor]>("aten::detach"),

  // in place
  add_: operator<[Tensor, Operand, number?]>("aten::add_.Tensor"),
  sub_: operator<[Tensor, Operand, number?]>("aten::sub_.Tensor"),
  mul_: operator<[Tensor, Operand]>("aten::mul_.Tensor"),
  div_: operator<[Tensor, Operand]>("aten::div_.Tensor"),
  addcmul_: operator<[Tensor, Tensor, Tensor, number]>("aten::addcmul_"),
  copy_: operator<[Tensor, Tensor]>("aten::copy_"),
  indexCopy_: operator<[Tensor, number, Tensor, Tensor]>("aten::index_copy_"),
  zero_: operator<[Tensor]>("aten::zero_"),
  fill_: operator<[Tensor, number]>("aten::fill_.Scalar"),
  clamp_: operator<[Tensor, number?, number?]>("aten::clamp_"),
  erfinv_: operator<[Tensor]>("aten::erfinv_"),
  normal_: operator<[Tensor, number, number, Random]>("aten::normal_"),
  uniform_: operator<[Tensor, number, number, Random]>("aten::uniform_"),
  bernoulli_: operator<[Tensor, number, Random]>("aten::bernoulli_.float"),

  // creation
  empty: operator<[Shape, ...Factory]>("aten::empty.memory_format"),
  zeros: operator<[Shape, ...Factory]>("aten::zeros"),
  ones: operator<[Shape, ...Factory]>("aten::ones"),
  full: operator<[Shape, number | boolean, ...Factory]>("aten::full"),
  eye: operator<[number, number, ...Factory]>("aten::eye.m"),
  arange: operator<[number, number, number, ...Factory]>("aten::arange.start_step"),
  zerosLike: operator<[Tensor, ...Factory]>("aten::zeros_like"),
  randperm: operator<[number, Random, ...Factory]>("aten::randperm.generator"),
} as const;
