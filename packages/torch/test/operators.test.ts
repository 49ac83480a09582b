import {
  call,
  cat,
  einsum,
  embedding,
  layerNorm,
  linear,
  maximum,
  minimum,
  ones,
  operatorNames,
  operatorsInUse,
  stack,
  type Tensor,
  tensor,
  where,
  zeros,
} from "@odis/torch";
import { describe, expect, it, test } from "vitest";
import { expectGradients, expectValues } from "./check.js";

test("every operator of the typed surface exists in the linked library", () => {
  const linked = new Set(operatorNames());
  expect(operatorsInUse().length).toBeGreaterThan(90);
  expect(operatorsInUse().filter((name) => !linked.has(name))).toEqual([]);
});

const vector = (...data: readonly number[]) => ({ data, shape: [data.length] });
const matrix = (rows: readonly (readonly number[])[]) => ({
  data: rows.flat(),
  shape: [rows.length, rows[0]!.length],
});

/** Error function by its series; exact to 1e-15 for |x| < 3. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 80; n += 1) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

describe("element by element: value against JavaScript, gradient against finite differences", () => {
  const any = [-1.7, -0.4, 0.3, 1.2, 2.6];
  const positive = [0.2, 0.7, 1, 1.9, 3.3];
  type Case = readonly [string, (x: Tensor) => Tensor, (x: number) => number, readonly number[]];
  const cases: readonly Case[] = [
    ["neg", (x) => x.neg(), (x) => -x, any],
    ["abs", (x) => x.abs(), Math.abs, any],
    ["exp", (x) => x.exp(), Math.exp, any],
    ["log", (x) => x.log(), Math.log, positive],
    ["sqrt", (x) => x.sqrt(), Math.sqrt, positive],
    ["sign", (x) => x.sign(), Math.sign, any],
    ["sin", (x) => x.sin(), Math.sin, any],
    ["cos", (x) => x.cos(), Math.cos, any],
    ["floor", (x) => x.floor(), Math.floor, any],
    ["silu", (x) => x.silu(), (x) => x / (1 + Math.exp(-x)), any],
    ["gelu", (x) => x.gelu(), (x) => (x / 2) * (1 + erf(x / Math.SQRT2)), any],
    [
      "gelu tanh",
      (x) => x.gelu("tanh"),
      (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
      any,
    ],
    ["add number", (x) => x.add(2, 3), (x) => x + 6, any],
    ["sub number", (x) => x.sub(0.5), (x) => x - 0.5, any],
    ["mul number", (x) => x.mul(-3), (x) => x * -3, any],
    ["div number", (x) => x.div(4), (x) => x / 4, any],
    ["pow number", (x) => x.pow(2.5), (x) => x ** 2.5, positive],
    ["clamp", (x) => x.clamp(-1, 2), (x) => Math.min(Math.max(x, -1), 2), any],
    ["clamp below only", (x) => x.clamp(0.1), (x) => Math.max(x, 0.1), any],
    ["clampMin", (x) => x.clampMin(0.1), (x) => Math.max(x, 0.1), any],
    ["maximum number", (x) => x.maximum(0.5), (x) => Math.max(x, 0.5), any],
    ["minimum number", (x) => x.minimum(0.5), (x) => Math.min(x, 0.5), any],
  ];
  test.each(cases)("%s", (_, op, reference, data) => {
    expectValues(op(tensor(Float64Array.from(data))), data.map(reference), 1e-12);
    expectGradients(op, [vector(...data)]);
  });
});

describe("two operands: value against JavaScript, gradients against finite differences", () => {
  type Case = readonly [string, (a: Tensor, b: Tensor) => Tensor, (a: number, b: number) => number];
  const cases: readonly Case[] = [
    ["add", (a, b) => a.add(b), (a, b) => a + b],
    ["add scaled", (a, b) => a.add(b, 0.5), (a, b) => a + 0.5 * b],
    ["sub", (a, b) => a.sub(b), (a, b) => a - b],
    ["mul", (a, b) => a.mul(b), (a, b) => a * b],
    ["div", (a, b) => a.div(b), (a, b) => a / b],
    ["pow", (a, b) => a.pow(b), (a, b) => a ** b],
    ["maximum", maximum, Math.max],
    ["minimum", minimum, Math.min],
    ["where", (a, b) => where(a.gt(b), a, b.mul(2)), (a, b) => (a > b ? a : 2 * b)],
  ];
  const a = [0.3, 1.2, 2.5];
  const b = [1.7, -0.6, 0.4];
  test.each(cases)("%s", (_, op, reference) => {
    const made = op(tensor(Float64Array.from(a)), tensor(Float64Array.from(b)));
    expectValues(
      made,
      a.map((value, i) => reference(value, b[i]!)),
      1e-12,
    );
    expectGradients(op, [vector(...a), vector(...b)]);
  });

  it("broadcasts, and sums the gradient over what was broadcast", () => {
    expectGradients(
      (x, y) => x.mul(y).add(y),
      [
        matrix([
          [1, 2, 3],
          [4, 5, 6],
        ]),
        vector(0.5, -1, 2),
      ],
    );
  });
});

describe("products", () => {
  const left = matrix([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  const right = matrix([
    [1, -1],
    [0.5, 2],
    [0, 3],
  ]);
  const product = [2, 12, 6.5, 24];
  const L = () => tensor(left.data, left.shape);
  const R = () => tensor(right.data, right.shape);

  it("matmul and bmm agree with the hand-computed product", () => {
    expectValues(L().matmul(R()), product);
    expectValues(L().unsqueeze(0).bmm(R().unsqueeze(0)), product);
    expectValues(einsum("ij,jk->ik", L(), R()), product);
    expectGradients((a, b) => a.matmul(b), [left, right]);
    expectGradients((a, b) => einsum("ij,jk->k", a, b), [left, right]);
  });

  it("solve undoes a product, and its gradient is that of the inverse", () => {
    const square = matrix([
      [2, 1],
      [-1, 3],
    ]);
    const wanted = matrix([
      [1, 0, 4],
      [-2, 5, 0.5],
    ]);
    const S = tensor(square.data, square.shape);
    expectValues(S.solve(S.matmul(tensor(wanted.data, wanted.shape))), [1, 0, 4, -2, 5, 0.5]);
    expectGradients((a, b) => a.solve(b), [square, wanted]);
  });

  it("linear is x Wᵀ + b", () => {
    expectValues(linear(L(), R().transpose(0, 1), tensor([1, 100])), [3, 112, 7.5, 124]);
    expectGradients(
      (x, w, b) => linear(x, w, b),
      [
        left,
        matrix([
          [1, 0, 2],
          [3, 1, 1],
        ]),
        vector(1, 2),
      ],
    );
  });

  it("conv2d with stride and padding, by hand", () => {
    const image = tensor([1, 2, 3, 4], [1, 1, 2, 2]);
    const kernel = ones([1, 1, 2, 2]);
    expectValues(image.conv2d(kernel), [10]);
    expectValues(
      image.conv2d(kernel, tensor([0.5]), { padding: 1, stride: 2 }),
      [1.5, 2.5, 3.5, 4.5],
    );
    expectGradients(
      (x, w, b) => x.conv2d(w, b, { padding: [1, 0] }),
      [
        { data: [1, 2, 3, 4, 5, 6], shape: [1, 1, 2, 3] },
        { data: [1, -1, 2, 0.5], shape: [1, 1, 2, 2] },
        vector(0.3),
      ],
    );
  });

  it("embedding takes rows", () => {
    expectValues(
      embedding(L(), tensor([1, 0, 1], [3], { dtype: "int64" })),
      [4, 5, 6, 1, 2, 3, 4, 5, 6],
    );
  });
});

describe("layers", () => {
  const rows = matrix([
    [1, 2, 4],
    [0, -1, 3],
  ]);
  const X = () => tensor(rows.data, rows.shape);
  const soft = (row: readonly number[]): number[] => {
    const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
    return row.map((value) => Math.exp(value) / total);
  };

  it("softmax, logSoftmax and logsumexp", () => {
    const expected = [...soft([1, 2, 4]), ...soft([0, -1, 3])];
    expectValues(X().softmax(-1), expected);
    expectValues(X().logSoftmax(1), expected.map(Math.log));
    expectValues(X().logsumexp(1), [
      1 - Math.log(soft([1, 2, 4])[0]!),
      0 - Math.log(soft([0, -1, 3])[0]!),
    ]);
    expectGradients((x) => x.softmax(-1), [rows]);
    expectGradients((x) => x.logSoftmax(-1), [rows]);
    expectGradients((x) => x.logsumexp(0), [rows]);
  });

  it("layerNorm has mean 0 and variance 1 before its weight and bias", () => {
    const deviation = Math.sqrt(14 / 9);
    const expected = [1, 2, 4].map((value) => (value - 7 / 3) / deviation);
    expectValues(layerNorm(tensor([1, 2, 4]), [3], undefined, undefined, 0), expected);
    expectGradients(
      (x, w, b) => layerNorm(x, [3], w, b, 1e-6),
      [rows, vector(1, 0.5, 2), vector(0, 1, -1)],
    );
  });

  it("upsamples", () => {
    const x = tensor([1, 2, 3, 4], [1, 1, 2, 2]);
    expectValues(x.upsampleBilinear2d([2, 4]), [1, 1.25, 1.75, 2, 3, 3.25, 3.75, 4]);
    expectValues(
      x.upsampleBilinear2d([3, 3], { alignCorners: true }),
      [1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4],
    );
    // Scale 1 samples at the pixels themselves, whatever the size says.
    expectValues(x.upsampleBilinear2d([1, 1], { scales: [1, 1] }), [1]);
    expectGradients(
      (y) => y.upsampleBilinear2d([3, 5]),
      [{ data: [1, 2, 3, 4], shape: [1, 1, 2, 2] }],
    );
  });
});

describe("reductions", () => {
  const rows = matrix([
    [1, 5, -2],
    [4, 0, 3],
  ]);
  const X = () => tensor(rows.data, rows.shape);

  it("sum, mean, cumsum and norm, whole and along axes", () => {
    expect(X().sum().item()).toBe(11);
    expectValues(X().sum(0), [5, 5, 1]);
    expectValues(X().sum([0, 1]), [11]);
    expect(X().sum(1, true).shape).toEqual([2, 1]);
    expectValues(X().mean(1), [4 / 3, 7 / 3]);
    expect(X().mean().item()).toBeCloseTo(11 / 6, 6);
    expectValues(X().cumsum(1), [1, 6, 4, 4, 4, 7]);
    expect(X().norm().item()).toBeCloseTo(Math.sqrt(55), 5);
    expectValues(X().norm(1), [Math.sqrt(30), 5]);
    expectValues(X().norm([0, 1], 1), [15]);
    expectValues(X().norm(0, Number.POSITIVE_INFINITY), [4, 5, 3]);
    expectGradients((x) => x.norm(1), [rows]);
    expectGradients((x) => x.cumsum(0), [rows]);
    expectGradients((x) => x.mean([0, 1]), [rows]);
  });

  it("extremes and where they are", () => {
    expect(X().max().item()).toBe(5);
    expect(X().min().item()).toBe(-2);
    const [values, indices] = X().max(1);
    expectValues(values, [5, 4]);
    expectValues(indices, [1, 0]);
    expectValues(X().min(0)[1], [0, 1, 0]);
    expectValues(X().argmax(1), [1, 0]);
    expectValues(X().amax(0), [4, 5, 3]);
    expectGradients((x) => x.amax(1), [rows]);
  });

  it("orders", () => {
    const [values, indices] = X().topk(2);
    expectValues(values, [5, 1, 4, 3]);
    expectValues(indices, [1, 0, 0, 2]);
    expectValues(X().topk(1, 0, false)[0], [1, 0, -2]);
    expectValues(X().sort(1)[0], [-2, 1, 5, 0, 3, 4]);
    expectValues(X().sort(1, true)[1], [1, 0, 2, 0, 2, 1]);
  });

  it("all", () => {
    const flags = tensor(
      [
        [1, 0],
        [1, 1],
      ],
      undefined,
      { dtype: "bool" },
    );
    expectValues(flags.all(1), [0, 1]);
    expectValues(flags.all(), [0]);
  });
});

describe("shape", () => {
  const X = () =>
    tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);

  it("rearranges", () => {
    expect(X().reshape([3, -1]).shape).toEqual([3, 2]);
    expect(X().flatten().shape).toEqual([6]);
    expectValues(X().transpose(0, 1), [1, 4, 2, 5, 3, 6]);
    expectValues(X().permute([1, 0]), [1, 4, 2, 5, 3, 6]);
    expect(X().unsqueeze(1).shape).toEqual([2, 1, 3]);
    expect(X().unsqueeze(1).squeeze().shape).toEqual([2, 3]);
    expect(X().unsqueeze(0).unsqueeze(0).squeeze(0).shape).toEqual([1, 2, 3]);
    expect(X().unsqueeze(0).expand([4, -1, -1]).shape).toEqual([4, 2, 3]);
    expectValues(tensor([1, 2]).repeat([2]), [1, 2, 1, 2]);
    expectValues(tensor([1, 2]).repeatInterleave(2), [1, 1, 2, 2]);
  });

  it("joins and parts", () => {
    expectValues(cat([X(), X()], 1).select(0, 0), [1, 2, 3, 1, 2, 3]);
    expect(stack([X(), X(), X()], 1).shape).toEqual([2, 3, 3]);
    expect(
      X()
        .unbind(1)
        .map((part) => part.toNumbers()),
    ).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ]);
    expect(
      X()
        .split(2, 1)
        .map(({ shape }) => shape),
    ).toEqual([
      [2, 2],
      [2, 1],
    ]);
    expect(
      X()
        .split([1, 2], 1)
        .map(({ shape }) => shape),
    ).toEqual([
      [2, 1],
      [2, 2],
    ]);
    expect(X().chunk(3, 1).length).toBe(3);
    expectGradients((a, b) => cat([a, b], 0), [vector(1, 2), vector(3)]);
    expectGradients((a, b) => stack([a, b], 1).narrow(0, 1, 1), [vector(1, 2), vector(3, 4)]);
  });
});

describe("choosing elements", () => {
  const X = () =>
    tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  const long = (data: readonly number[], shape?: readonly number[]) =>
    tensor(data, shape, { dtype: "int64" });

  it("by position", () => {
    expectValues(X().narrow(1, 1, 2), [2, 3, 5, 6]);
    expectValues(X().slice(1, 0, 3, 2), [1, 3, 4, 6]);
    expectValues(X().slice(0, 1), [4, 5, 6]);
    expectValues(X().indexSelect(1, long([2, 0])), [3, 1, 6, 4]);
    expectValues(X().index(long([1])), [4, 5, 6]);
    expectValues(X().index([null, long([2])]), [3, 6]);
    expectValues(X().index(X().gt(4)), [5, 6]);
    expectValues(X().gather(1, long([2, 0], [2, 1])), [3, 4]);
    expectValues(X().nonzero().narrow(0, 5, 1), [1, 2]);
    expectGradients(
      (x) => x.indexSelect(0, long([1, 1])),
      [
        matrix([
          [1, 2],
          [3, 4],
        ]),
      ],
    );
  });

  it("writing to copies", () => {
    const index = long([1, 1, 0]);
    const zero = zeros([2]);
    expectValues(zero.indexAdd(0, index, tensor([1, 2, 5])), [5, 3]);
    expectValues(zero.scatterAdd(0, index, tensor([1, 2, 5])), [5, 3]);
    expectValues(zero, [0, 0]);
  });

  it("by condition", () => {
    const big = X().gt(3);
    expectValues(X().maskedFill(big, -1), [1, 2, 3, -1, -1, -1]);
    expectValues(X().maskedFill(big, tensor(9)), [1, 2, 3, 9, 9, 9]);
    expectValues(big.where(X(), 0), [0, 0, 0, 4, 5, 6]);
    expectValues(where(big, 1, X()), [1, 2, 3, 1, 1, 1]);
    expect(where(big, 1, X()).dtype).toBe("float32");
  });
});

test("comparisons and logic give bool tensors", () => {
  const x = tensor([1, 2, 3]);
  const table: readonly (readonly [Tensor, readonly number[]])[] = [
    [x.eq(2), [0, 1, 0]],
    [x.ne(2), [1, 0, 1]],
    [x.gt(2), [0, 0, 1]],
    [x.ge(2), [0, 1, 1]],
    [x.lt(2), [1, 0, 0]],
    [x.le(tensor([1, 1, 3])), [1, 0, 1]],
    [x.gt(1).logicalAnd(x.lt(3)), [0, 1, 0]],
    [x.gt(1).logicalNot(), [1, 0, 0]],
    [tensor([1, Number.NaN, Number.POSITIVE_INFINITY]).isfinite(), [1, 0, 0]],
  ];
  for (const [result, expected] of table) {
    expect(result.dtype).toBe("bool");
    expectValues(result, expected);
  }
});

test("numbers do not decide the dtype, and whole numbers keep integers integer", () => {
  const whole = tensor([1, 2], undefined, { dtype: "int64" });
  expect(whole.mul(2).dtype).toBe("int64");
  expect(whole.mul(0.5).dtype).toBe("float32");
  expect(tensor([1, 2]).mul(2).dtype).toBe("float32");
  expect(tensor(new Float64Array([1])).add(0.1).dtype).toBe("float64");
  expect(
    tensor([0])
      .mul(-0)
      .div(tensor([1]))
      .toNumbers(),
  ).toEqual([-0]);
});

describe("in place", () => {
  test("each returns the very tensor it changed", () => {
    const x = tensor([1, 4]);
    const steps: readonly (readonly [() => Tensor, readonly number[]])[] = [
      [() => x.add_(1), [2, 5]],
      [() => x.sub_(tensor([1, 1]), 2), [0, 3]],
      [() => x.mul_(2), [0, 6]],
      [() => x.div_(tensor([1, 3])), [0, 2]],
      [() => x.addcmul_(tensor([1, 2]), tensor([3, 4]), 0.5), [1.5, 6]],
      [() => x.clamp_(3.5), [3.5, 6]],
      [() => x.fill_(16), [16, 16]],
      [() => x.indexCopy_(0, tensor([1], undefined, { dtype: "int64" }), tensor([7])), [16, 7]],
      [() => x.copy_(tensor([0, 0.5])), [0, 0.5]],
      [() => x.erfinv_(), [0, 0.4769362762]],
      [() => x.zero_(), [0, 0]],
      [() => x.bernoulli_(1), [1, 1]],
    ];
    for (const [step, expected] of steps) {
      expect(step()).toBe(x);
      expectValues(x, expected);
    }
  });

  test("a call by name returns it, too", () => {
    const x = tensor([1]);
    expect(call("aten::add_.Tensor", x, 1)).toBe(x);
    expectValues(x, [2]);
  });
});
