import {
  arange,
  call,
  type DType,
  empty,
  eye,
  fromBuffer,
  full,
  ones,
  Tensor,
  tensor,
  tensorScope,
  type TypedArray,
  zeros,
  zerosLike,
} from "@odis/torch";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";

describe("data in and out", () => {
  const samples: readonly (readonly [DType, TypedArray])[] = [
    ["float32", new Float32Array([1.5, -0, Number.NaN, 3e38])],
    ["float64", new Float64Array([1.5, 5e-324, Number.POSITIVE_INFINITY, -1])],
    ["int64", new BigInt64Array([1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)])],
    ["int32", new Int32Array([1, -1, 2 ** 31 - 1, -(2 ** 31)])],
    ["uint8", new Uint8Array([0, 1, 254, 255])],
    ["bool", new Uint8Array([0, 1, 1, 0])],
    ["float16", new Uint16Array([0x3c00, 0xc000, 0x7bff, 0x0001])],
    ["bfloat16", new Uint16Array([0x3f80, 0xc000, 0x7f7f, 0x0001])],
  ];

  test.each(samples)("%s comes back bit for bit", (dtype, data) => {
    const made = fromBuffer(data, [2, 2], { dtype });
    expect(made.dtype).toBe(dtype);
    expect(made.shape).toEqual([2, 2]);
    const back = made.toArray();
    expect(back.constructor).toBe(data.constructor);
    expect(Buffer.from(back.buffer)).toEqual(Buffer.from(data.buffer));
  });

  it("copies any floats through float32 unchanged", () => {
    fc.assert(
      fc.property(fc.float32Array({ maxLength: 40 }), (data) => {
        using _scope = tensorScope();
        expect(fromBuffer(data).toArray()).toEqual(data);
      }),
    );
  });

  it("reads what threads share, as it is at that moment", () => {
    const shared = new Float32Array(new SharedArrayBuffer(16));
    shared.set([1, 2, 3, 4]);
    const made = fromBuffer(shared.subarray(1), [3]);
    shared.fill(9);
    expect(made.toNumbers()).toEqual([2, 3, 4]);
    const target = new Float32Array(new SharedArrayBuffer(12));
    made.copyInto(target);
    expect([...target]).toEqual([2, 3, 4]);
  });

  it("makes any byte but 0 a true", () => {
    const made = fromBuffer(new Uint8Array([0, 2, 255]), [3], { dtype: "bool" });
    expect(made.toNumbers()).toEqual([0, 1, 1]);
  });

  it("reads transposed and sliced tensors row-major", () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    expect(x.transpose(0, 1).toNumbers()).toEqual([1, 4, 2, 5, 3, 6]);
    expect(x.slice(1, 0, 3, 2).toFloat32()).toEqual(new Float32Array([1, 3, 4, 6]));
  });

  it("gives float16 and bfloat16 as numbers", () => {
    const bits = new Uint16Array([0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x7e00]);
    expect(fromBuffer(bits, [6], { dtype: "float16" }).toNumbers()).toEqual([
      1,
      -2,
      65504,
      2 ** -24,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ]);
    const brain = new Uint16Array([0x3f80, 0xc000, 0x7f80]);
    expect(fromBuffer(brain, [3], { dtype: "bfloat16" }).toNumbers()).toEqual([
      1,
      -2,
      Number.POSITIVE_INFINITY,
    ]);
    expect([...tensor([1, -2, 0.1]).to({ dtype: "bfloat16" }).toFloat32()]).toEqual([
      1, -2, 0.10009765625,
    ]);
  });

  it("converts where another dtype is asked for", () => {
    const made = fromBuffer(new Uint8Array([0, 128, 255]), [3], { dtype: "float32" });
    expect(made.dtype).toBe("float32");
    expect(made.toNumbers()).toEqual([0, 128, 255]);
  });

  it("takes nested arrays, numbers, booleans and bigints", () => {
    expect(
      tensor([
        [1, 2],
        [3, 4],
      ]).shape,
    ).toEqual([2, 2]);
    expect(tensor(7).shape).toEqual([]);
    expect(tensor([]).shape).toEqual([0]);
    expect(tensor([true, false], undefined, { dtype: "bool" }).toNumbers()).toEqual([1, 0]);
    expect(tensor([2n ** 60n], undefined, { dtype: "int64" }).toArray()).toEqual(
      new BigInt64Array([2n ** 60n]),
    );
    expect(tensor([1, 2, 3, 4], [2, 2]).shape).toEqual([2, 2]);
  });

  it("item reads one element of any real dtype", () => {
    expect(tensor([[5]]).item()).toBe(5);
    expect(tensor([1], [1], { dtype: "bool" }).item()).toBe(1);
    expect(tensor([-3], [1], { dtype: "int64" }).item()).toBe(-3);
  });
});

describe("creation", () => {
  it("fills", () => {
    expect(zeros([2]).toNumbers()).toEqual([0, 0]);
    expect(ones([2], { dtype: "int64" }).toArray()).toEqual(new BigInt64Array([1n, 1n]));
    expect(full([2], 0.5).toNumbers()).toEqual([0.5, 0.5]);
    expect(full([1], true, { dtype: "bool" }).toNumbers()).toEqual([1]);
    expect(eye(2, { columns: 3 }).toNumbers()).toEqual([1, 0, 0, 0, 1, 0]);
    expect(empty([3, 0]).size).toBe(0);
  });

  it("counts", () => {
    expect(arange(3).dtype).toBe("int64");
    expect(arange(3).toNumbers()).toEqual([0, 1, 2]);
    expect(arange(1, 2, 0.25, { dtype: "float32" }).toNumbers()).toEqual([1, 1.25, 1.5, 1.75]);
    expect(arange(2, { dtype: "float32" }).dtype).toBe("float32");
  });

  it("follows another tensor's shape and dtype", () => {
    const like = ones([2, 1], { dtype: "float64" });
    expect([zerosLike(like).shape, zerosLike(like).dtype]).toEqual([[2, 1], "float64"]);
    expect(zerosLike(like, { dtype: "bool" }).dtype).toBe("bool");
  });
});

describe("description", () => {
  it("names itself", () => {
    const x = ones([2, 3]);
    expect(String(x)).toBe("Tensor float32[2, 3]");
    expect([x.rank, x.size, x.device]).toEqual([2, 6, "cpu"]);
    const [rows, columns] = x.dims(2);
    expect(rows * columns).toBe(6);
    x.free();
    expect(String(x)).toBe("Tensor (freed)");
  });

  it("converts dtypes", () => {
    const x = tensor([0, 1.7]);
    expect(x.to({ dtype: "int64" }).toNumbers()).toEqual([0, 1]);
    expect(x.bool().toNumbers()).toEqual([0, 1]);
    expect(x.double().dtype).toBe("float64");
    expect(x.double().float().dtype).toBe("float32");
    expect(x.to({ dtype: "int32", device: "cpu" }).dtype).toBe("int32");
    expect(x.clone().add_(1).toNumbers()).not.toEqual(x.toNumbers());
    expect(x.unsqueeze(0).expand([2, 2]).contiguous().toNumbers().length).toBe(4);
  });
});

test("an operator called by name gives tensors, lists, numbers and nothing", () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  expect(call("aten::gelu", x, "tanh")).toBeInstanceOf(Tensor);
  expect((call("aten::unbind.int", x, 0) as readonly Tensor[]).length).toBe(2);
  expect((call("aten::max.dim", x, 1) as readonly Tensor[]).map(String)).toEqual([
    "Tensor float32[2]",
    "Tensor int64[2]",
  ]);
  expect(call("aten::size.int", x, 1)).toBe(2);
  expect(call("aten::equal", x, x)).toBe(true);
  expect(call("aten::_foreach_add_.Scalar", [x], 1)).toBeUndefined();
});
