import {
  arange,
  call,
  EngineError,
  fromBuffer,
  full,
  Generator,
  ones,
  OperatorError,
  ShapeError,
  type Tensor,
  tensor,
  tensorScope,
  zeros,
} from "@odis/torch";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";

let scope: Disposable;
beforeEach(() => {
  scope = tensorScope();
});
afterEach(() => scope[Symbol.dispose]());

/** Passes a value where the compiler would not let it. */
const wrong = <T>(value: unknown): T => value as T;

type Case = readonly [string, () => unknown, string | RegExp];

describe("an operator's error names it, the arguments' shapes and dtypes, and what is wrong", () => {
  const x = (): Tensor => ones([2, 3]);
  const cases: readonly Case[] = [
    [
      "shapes that do not fit",
      () => x().matmul(ones([4, 5])),
      /^aten::matmul\(float32\[2, 3\], float32\[4, 5\]\): .*shapes cannot be multiplied \(2x3 and 4x5\)$/,
    ],
    [
      "dtypes that do not fit",
      () => x().matmul(ones([3, 1], { dtype: "int64" })),
      /^aten::matmul\(float32\[2, 3\], int64\[3, 1\]\): /,
    ],
    [
      "an axis that is not there",
      () => x().softmax(5),
      /^aten::softmax\.int\(float32\[2, 3\], 5\): Dimension out of range/,
    ],
    [
      "a fraction as an axis",
      () => x().sum(0.5),
      "aten::sum.dim_IntList(float32[2, 3], 0.5, false): argument 2 (dim: Optional[List[int]]) got 0.5, wanted an integer",
    ],
    [
      "NaN as a size",
      () => zeros([Number.NaN]),
      'aten::zeros([NaN], "float32"): argument 1 (size: List[int]) got NaN, wanted an integer',
    ],
    [
      "infinity as a size",
      () => zeros([1, Number.POSITIVE_INFINITY]),
      /argument 1 \(size: List\[int\]\) got Infinity, wanted an integer/,
    ],
    [
      "an integer beyond all",
      () => zeros([wrong(2n ** 70n)]),
      /got 1180591620717411303424n, wanted an integer/,
    ],
    ["a negative size", () => zeros([-1]), /^aten::zeros\(\[-1\], "float32"\): .*negative/],
    [
      "a size beyond memory",
      () => zeros([2 ** 50]),
      /^aten::zeros\(\[1125899906842624\], "float32"\): .*you tried to allocate 4503599627370496 bytes/,
    ],
    [
      "a size beyond integers",
      () => zeros([2 ** 40, 2 ** 40]),
      /^aten::zeros\(\[1099511627776, 1099511627776\], "float32"\): /,
    ],
    [
      "a string for a tensor",
      () => x().add(wrong("1")),
      'aten::add.Tensor(float32[2, 3], "1"): argument 2 (other: Tensor) got "1", wanted a Tensor',
    ],
    [
      "a plain object for a tensor",
      () => x().mul(wrong({ shape: [1] })),
      "argument 2 (other: Tensor) got an object that is not a tensor, wanted a Tensor",
    ],
    [
      "a generator for a tensor",
      () => x().mul(wrong(new Generator(1))),
      "argument 2 (other: Tensor) got a generator, wanted a Tensor",
    ],
    [
      "a tensor for a generator",
      () => x().normal_(0, 1, x()),
      "argument 4 (generator: Optional[Generator]) got float32[2, 3], wanted a Generator",
    ],
    [
      "a number to be changed in place",
      () => call("aten::add_.Tensor", 1, x()),
      "aten::add_.Tensor(1, float32[2, 3]): argument 1 (self: Tensor) got 1, wanted a Tensor",
    ],
    [
      "an array with a hole of another kind",
      () => call("aten::cat", [x(), 3]),
      "aten::cat([float32[2, 3], 3]): argument 1 (tensors: List[Tensor]) got 3, wanted a Tensor",
    ],
    [
      "too many arguments",
      () => call("aten::neg", x(), 1),
      "aten::neg(float32[2, 3], 1): got 2 arguments, wanted at most 1",
    ],
    [
      "far too many arguments",
      () => call("aten::neg", ...Array<number>(50).fill(1)),
      "call: got 51 arguments, wanted at most 40",
    ],
    [
      "a missing argument",
      () => call("aten::mm", x()),
      "aten::mm(float32[2, 3]): argument 2 (mat2: Tensor) is missing",
    ],
    [
      "an unknown operator",
      () => call("aten::frobnicate", x()),
      /^resolve: no operator "aten::frobnicate" in LibTorch [\d.]+; operators are named as in "aten::add.Tensor"$/,
    ],
    [
      "a name without overload",
      () => call("aten::add", x(), x()),
      /no operator "aten::add" in LibTorch [\d.]+; there are .*aten::add\.Tensor/,
    ],
    [
      "an operator that takes what JavaScript has not",
      () => call("aten::set_.source_Storage", x(), {}),
      /argument 2 \(source: Storage\) takes Storage, which cannot be given from JavaScript/,
    ],
    [
      "an unknown dtype",
      () => zeros([1], { dtype: wrong("float8") }),
      'got dtype "float8", wanted float32, float64, float16, bfloat16, int64, int32, uint8 or bool',
    ],
    [
      "an unknown device",
      () => zeros([1], { device: "gpu" }),
      'got device "gpu", wanted "cpu", "cuda" (the first NVIDIA GPU) or "cuda:<number>"',
    ],
    [
      "a device number that is none",
      () => zeros([1], { device: "cuda:x" }),
      'got device "cuda:x", wanted "cpu", "cuda" (the first NVIDIA GPU) or "cuda:<number>"',
    ],
    [
      "a device that is not here",
      () => zeros([1], { device: "cuda:99" }),
      /device "cuda:99" is not available: /,
    ],
  ];
  test.each(cases)("%s", (_, act, text) => {
    expect(act).toThrow(OperatorError);
    expect(act).toThrow(text);
  });

  it("keeps to one line", () => {
    expect(() => x().matmul(ones([4]))).toThrow(/^[^\n]*$/);
  });
});

describe("data that does not fit", () => {
  const cases: readonly Case[] = [
    [
      "too few elements",
      () => fromBuffer(new Float32Array(5), [2, 3]),
      "fromBuffer: got 5 elements, wanted 6 for float32[2, 3]",
    ],
    [
      "a Uint16Array without a dtype",
      () => fromBuffer(new Uint16Array(1)),
      "fromBuffer: got a Uint16Array, which carries float16 or bfloat16 bits; wanted dtype to say which of the two",
    ],
    [
      "an array class without a dtype",
      () => fromBuffer(wrong(new Int8Array(1))),
      "fromBuffer: got Int8Array, wanted a Float32Array, Float64Array, BigInt64Array, Int32Array, Uint8Array or Uint16Array",
    ],
    [
      "no array at all",
      () => fromBuffer(wrong({ length: 1 }), [1]),
      "fromBuffer: got Object, wanted a Float32Array",
    ],
    [
      "a negative size",
      () => fromBuffer(new Float32Array(1), [-1]),
      "fromBuffer: got a negative size -1 in the shape",
    ],
    [
      "a shape that overflows",
      () => fromBuffer(new Float32Array(1), [2 ** 40, 2 ** 40]),
      "fromBuffer: got a shape with too many elements: float32[1099511627776, 1099511627776]",
    ],
    [
      "ragged arrays",
      () => tensor([[1, 2], [3]]),
      "tensor: got an array of 1 on axis 1, wanted arrays of 2 like the first",
    ],
    [
      "uneven depth",
      () => tensor([[1], 2]),
      "tensor: got number on axis 1, wanted arrays of 1 like the first",
    ],
    ["depth that grows", () => tensor([1, [2]]), "tensor: got arrays nested to different depths"],
    [
      "a fraction as int64",
      () => tensor([0.5], undefined, { dtype: "int64" }),
      "tensor: got 0.5 for int64, wanted an integer",
    ],
    [
      "300 as uint8",
      () => tensor([300], undefined, { dtype: "uint8" }),
      "tensor: got 300 for uint8, wanted an integer from 0 to 255",
    ],
    [
      "a target of another class",
      () => ones([2]).copyInto(new Float64Array(2)),
      "read: got a Float64Array, wanted a Float32Array for float32[2]",
    ],
    [
      "a target of another size",
      () => ones([2]).copyInto(new Float32Array(3)),
      "read: got 3 elements, wanted 2 for float32[2]",
    ],
    [
      "two elements as one",
      () => ones([2]).item(),
      "item: got float32[2], wanted exactly one element",
    ],
    [
      "three axes as two",
      () => ones([1, 2, 3]).dims(2),
      "dims: got a tensor of shape [1, 2, 3], wanted 2 axes",
    ],
    [
      "a complex number",
      () => (call("aten::complex", ones([1]), ones([1])) as Tensor).toArray(),
      "toArray: dtype complex64 has no typed array; convert it first",
    ],
    [
      "an int64 beyond exact numbers",
      () => tensor([2n ** 60n], [1], { dtype: "int64" }).item(),
      "item: 1152921504606846976 is no exact JavaScript number; use toArray()",
    ],
    [
      "several of them",
      () => tensor([2n ** 60n], [1], { dtype: "int64" }).toNumbers(),
      "toNumbers: 1152921504606846976 is no exact number; use toArray()",
    ],
  ];
  test.each(cases)("%s", (_, act, text) => {
    expect(act).toThrow(EngineError);
    expect(act).toThrow(text);
  });

  it("shape errors are of a class of their own", () => {
    expect(() => ones([2]).dims(2)).toThrow(ShapeError);
    expect(() => ones([2]).item()).toThrow(ShapeError);
    expect(() => tensor([[1, 2], [3]])).toThrow(ShapeError);
  });

  it("a buffer that was transferred away", () => {
    const data = new Float32Array(4);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    expect(() => fromBuffer(data, [4])).toThrow(
      "fromBuffer: got 0 elements, wanted 4 for float32[4] (was the buffer transferred to another thread?)",
    );
    expect(() => ones([4]).copyInto(data)).toThrow(
      "(was the buffer transferred to another thread?)",
    );
  });
});

describe("what LibTorch would not check", () => {
  const cases: readonly Case[] = [
    [
      "an operator of its own",
      () => call("aten::_stack", []),
      'resolve: "aten::_stack" is LibTorch\'s own: it trusts its arguments and may crash; wanted a public operator',
    ],
    [
      "a half of backward",
      () => call("aten::embedding_dense_backward", ones([1])),
      "is LibTorch's own",
    ],
    [
      "an operator that writes where it is told",
      () => call("aten::add.out", ones([1]), ones([1]), 1, ones([1])),
      "is LibTorch's own",
    ],
    [
      "too few entries in a pair",
      () => ones([1, 1, 2, 2]).conv2d(ones([1, 1, 1, 1]), undefined, { stride: [1, 1, 1] }),
      "argument 4 (stride: List[int]) got 3 entries, wanted 2, or one for all",
    ],
    [
      "a scale that points outside the image",
      () => ones([1, 1, 4, 4]).upsampleBilinear2d([8, 8], { scales: [1, 1] }),
      "scales_h 1.000000 samples at 7.000000 of an axis of 4, wanted output size / scale within it",
    ],
    [
      "a view of more elements than can be",
      () => ones([1]).expand([2 ** 40, 2 ** 20]),
      "gave float32[1099511627776, 1048576], which has an impossible number of elements",
    ],
  ];
  test.each(cases)("%s is refused", (_, act, text) => {
    expect(act).toThrow(OperatorError);
    expect(act).toThrow(text);
  });

  it("a tensor that an operator has spoiled is freed", () => {
    const x = ones([2]);
    expect(() => call("aten::resize_", x, [-2, -2])).toThrow(OperatorError);
    expect(x.freed).toBe(true);
  });
});

test("a tensor that crossed a thread boundary or JSON is no tensor any more", () => {
  const copy: unknown = structuredClone(Object.assign({}, ones([1])));
  expect(() => ones([1]).add(wrong(copy))).toThrow(
    "got an object that is not a tensor, wanted a Tensor",
  );
  expect(JSON.stringify(ones([1]))).toBe("{}");
});

test("code that runs while arguments are read cannot disturb the call", () => {
  const victim = full([2], 7);
  const list = [3, 2];
  Object.defineProperty(list, 0, {
    get() {
      victim.free();
      for (let count = 0; count < 5000; count += 1) ones([1]); // makes the handle table move
      return 3;
    },
  });
  const made = call("aten::expand", victim, list) as Tensor;
  expect(victim.freed).toBe(true);
  expect(made.toNumbers()).toEqual([7, 7, 7, 7, 7, 7]);
});

test("an error thrown by such code comes through as it is", () => {
  const list = [1];
  Object.defineProperty(list, 0, {
    get() {
      throw new RangeError("mine");
    },
  });
  expect(() => zeros(list)).toThrow(new RangeError("mine"));
});

test("after an error everything works as before", () => {
  expect(() => ones([2]).add(ones([3]))).toThrow(OperatorError);
  expect(arange(3).sum().item()).toBe(3);
});
