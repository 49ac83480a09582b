import {
  autocast,
  call,
  cat,
  type DType,
  Generator,
  linear,
  noGrad,
  ones,
  runtimeInfo,
  setThreads,
  Tensor,
  tensor,
  tensorScope,
  threads,
  zeros,
} from "@odis/torch";
import {
  type Arbitrary,
  array,
  assert,
  constantFrom,
  integer,
  nat,
  oneof,
  property,
  record,
} from "fast-check";
import { describe, expect, it } from "vitest";

/** B images, T tokens, H heads of width d; the R rows from `first` on are restricted. */
interface Shape {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly d: number;
  readonly R: number;
  readonly first: number;
}

const operator = (name: string, ...args: readonly unknown[]): Tensor => {
  const result = call(name, ...args);
  if (result instanceof Tensor) return result;
  throw new TypeError(`${name} gave no tensor`);
};

const attentionBy =
  (name: string) =>
  (qkv: Tensor, heads: number, allowed: Tensor | null = null, first = 0): Tensor =>
    operator(name, qkv, heads, allowed, first);
const fused = attentionBy("odis::attention");
/** What GPUs and narrow dtypes get. */
const composed = attentionBy("odis::attention_composed");

const normal = (shape: readonly number[], seed: number, dtype: DType): Tensor =>
  noGrad(() => operator("aten::normal_", zeros(shape, { dtype }), 0, 1, new Generator(seed)));

/** [B, T, 3 D] -> q, k, v, each [B, H, T, d] */
function split(qkv: Tensor, { B, T, H, d }: Shape): readonly [Tensor, Tensor, Tensor] {
  const parts = qkv.reshape([B, T, 3, H, d]).permute([2, 0, 3, 1, 4]);
  return [parts.select(0, 0), parts.select(0, 1), parts.select(0, 2)];
}

/** The same written out; where a row may see nothing, zeros. */
function written(qkv: Tensor, allowed: Tensor | null, shape: Shape): Tensor {
  const { B, T, H, d, R, first } = shape;
  const [q, k, v] = split(qkv, shape);
  const scores = q.matmul(k.transpose(-2, -1)).mul(d ** -0.5);
  const sees = (rows: number) => ones([B, 1, rows, T], { dtype: "bool" });
  const visible = allowed
    ? cat([sees(first), allowed.bool().unsqueeze(1), sees(T - first - R)], 2)
    : sees(T);
  const p = scores.maskedFill(visible.logicalNot(), -1e30).softmax(-1).mul(visible);
  return p
    .matmul(v)
    .transpose(1, 2)
    .reshape([B, T, H * d]);
}

/** Largest difference, relative to the largest number where that exceeds 1. */
function distance(a: Tensor, b: Tensor): number {
  if (a.size === 0) return 0;
  const witness = b.detach().double();
  const largest = Math.max(1, witness.abs().max().item());
  return a.detach().double().sub(witness).abs().max().item() / largest;
}

/** Fails unless the gradient of a loss, [], at these numbers is what finite differences say. */
function expectSlopes(
  numbers: readonly number[],
  shape: readonly number[],
  lossOf: (qkv: Tensor) => Tensor,
): void {
  const loss = (values: readonly number[]) => {
    const qkv = tensor([...values], shape, { dtype: "float64" }).requiresGrad_(true);
    return { qkv, value: lossOf(qkv) };
  };
  const { qkv, value } = loss(numbers);
  value.backward();
  const h = 1e-5;
  qkv.grad!.toNumbers().forEach((slope, i) => {
    const [above, below] = [h, -h].map((step) =>
      loss(numbers.with(i, numbers[i]! + step)).value.item(),
    );
    expect(slope).toBeCloseTo((above! - below!) / (2 * h), 8);
  });
}

const shapes: Arbitrary<Shape> = record({
  B: integer({ min: 0, max: 3 }),
  T: oneof(integer({ min: 1, max: 40 }), integer({ min: 60, max: 220 })),
  H: integer({ min: 1, max: 4 }),
  d: oneof(integer({ min: 1, max: 40 }), constantFrom(32, 48, 64)),
  R: nat(3),
  first: nat(),
}).map(({ first, ...shape }) => {
  const R = Math.min(shape.R, shape.T);
  return { ...shape, R, first: first % (shape.T - R + 1) };
});

const qkv = (): Tensor => zeros([2, 5, 24]);

describe.each([
  ["odis::attention", fused],
  ["odis::attention_composed", composed],
])("%s", (_, attend) => {
  it("agrees with the formula written out, value and gradient", () => {
    const dtypes = constantFrom<DType>("float32", "float64");
    const bounds = constantFrom(undefined, -9, -1.3, 0, 9); // nobody restricted, sees none ... all
    assert(
      property(shapes, dtypes, bounds, nat(), (shape, dtype, bound, seed) => {
        using _scope = tensorScope();
        const { B, T, H, d, R, first } = shape;
        const qkv = normal([B, T, 3 * H * d], seed, dtype).requiresGrad_(true);
        const witness = qkv.detach().double().requiresGrad_(true);
        const flags = seed % 2 ? "bool" : "uint8";
        const allowed =
          bound === undefined
            ? null
            : normal([B, R, T], seed + 2, "float32")
                .lt(bound)
                .to({ dtype: flags });
        const upstream = normal([B, T, H * d], seed + 1, dtype);
        const out = attend(qkv, H, allowed, first);
        const expected = written(witness, allowed, shape);
        out.backward(upstream);
        expected.backward(upstream.double());
        const tolerance = dtype === "float32" ? 1e-5 : 1e-12;
        expect(distance(out, expected)).toBeLessThan(tolerance);
        expect(distance(qkv.grad!, witness.grad!)).toBeLessThan(tolerance);
        const silent = noGrad(() => attend(qkv, H, allowed, first));
        if (attend === fused) expect(silent.toArray()).toEqual(out.toArray());
        else expect(distance(silent, out)).toBeLessThan(tolerance);
      }),
      { numRuns: 40 },
    );
  });

  it("has the gradient that finite differences see", () => {
    using _scope = tensorScope();
    const numbers = normal([1, 5, 3 * 6], 3, "float64").toNumbers();
    const allowed = tensor([1, 0, 1, 0, 1], [1, 1, 5], { dtype: "bool" });
    const weights = normal([1, 5, 6], 4, "float64");
    expectSlopes(numbers, [1, 5, 18], (qkv) => attend(qkv, 2, allowed, 2).mul(weights).sum());
  });

  it("lets nothing of a hidden key through, exactly", () => {
    using _scope = tensorScope();
    const [T, D] = [11, 16];
    const allowed = ones([1, 1, T], { dtype: "bool" });
    noGrad(() => allowed.narrow(2, 7, 1).zero_());
    const qkv = normal([1, T, 3 * D], 5, "float32");
    const before = attend(qkv, 2, allowed, 0).toFloat32().slice(0, D);
    noGrad(() => qkv.narrow(1, 7, 1).mul_(50));
    const after = attend(qkv, 2, allowed, 0).toFloat32().slice(0, D);
    expect(after).toEqual(before);
  });

  it("gives a row that may see nothing zeros and no gradient", () => {
    using _scope = tensorScope();
    const qkv = normal([1, 9, 3 * 8], 6, "float32").requiresGrad_(true);
    const nothing = zeros([1, 1, 9], { dtype: "bool" });
    const row = attend(qkv, 1, nothing, 4).select(1, 4);
    row.sum().backward();
    expect(row.toNumbers().every((x) => x === 0)).toBe(true);
    expect(qkv.grad!.toNumbers().every((x) => x === 0)).toBe(true);
  });
});

describe.each(["odis::attention_apart", "odis::attention_apart_composed"])("%s", (name) => {
  const attend = (qkv: Tensor, heads: number, starts: readonly number[]): Tensor =>
    operator(name, qkv, heads, tensor(BigInt64Array.from(starts, BigInt)));

  it("is the attention of each image by itself, value and gradient", () => {
    const counts = array(oneof(integer({ min: 0, max: 40 }), integer({ min: 70, max: 150 })), {
      minLength: 1,
      maxLength: 5,
    });
    const heads = integer({ min: 1, max: 4 });
    const dtypes = constantFrom<DType>("float32", "float64");
    assert(
      property(
        counts,
        heads,
        integer({ min: 1, max: 33 }),
        dtypes,
        nat(),
        (each, H, d, dtype, seed) => {
          using _scope = tensorScope();
          const starts = each.reduce((ends, count) => [...ends, ends.at(-1)! + count], [0]);
          const rows = starts.at(-1)!;
          const qkv = normal([rows, 3 * H * d], seed, dtype).requiresGrad_(true);
          const witness = qkv.detach().double().requiresGrad_(true);
          const out = attend(qkv, H, starts);
          const upstream = normal([rows, H * d], seed + 1, dtype);
          const expected = cat(
            each.map((T, b) =>
              written(witness.narrow(0, starts[b]!, T).unsqueeze(0), null, {
                B: 1,
                T,
                H,
                d,
                R: 0,
                first: 0,
              }).squeeze(0),
            ),
            0,
          );
          out.backward(upstream);
          expected.backward(upstream.double());
          const tolerance = dtype === "float32" ? 1e-5 : 1e-12;
          expect(out.shape).toEqual([rows, H * d]);
          expect(distance(out, expected)).toBeLessThan(tolerance);
          if (rows > 0) expect(distance(qkv.grad!, witness.grad!)).toBeLessThan(tolerance);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("has the gradient that finite differences see", () => {
    using _scope = tensorScope();
    const numbers = normal([5, 3 * 6], 3, "float64").toNumbers();
    const weights = normal([5, 6], 4, "float64");
    expectSlopes(numbers, [5, 18], (qkv) => attend(qkv, 2, [0, 2, 2, 5]).mul(weights).sum());
  });

  it("takes the narrow numbers of mixed precision", () => {
    using _scope = tensorScope();
    const wide = normal([9, 24], 5, "float32");
    const narrow = attend(wide.to({ dtype: "bfloat16" }), 2, [0, 4, 9]);
    expect(narrow.dtype).toBe("bfloat16");
    expect(distance(narrow, attend(wide, 2, [0, 4, 9]))).toBeLessThan(0.05);
  });

  it.each([
    [[0, 3, 2, 5], /starts must never fall, got 3 before 2/],
    [[0, 4], /starts must go from 0 to the 5 rows of qkv, got 0 to 4/],
    [[1, 5], /starts must go from 0 to the 5 rows of qkv, got 1 to 5/],
  ])("refuses starts %j with a sentence", (starts, sentence) => {
    using _scope = tensorScope();
    expect(() => attend(zeros([5, 24]), 2, starts)).toThrow(sentence);
    expect(() => attend(qkv(), 2, [0, 2])).toThrow(
      /qkv must be \[rows, 3 \* D\], got \[2, 5, 24\]/,
    );
    expect(() => operator(name, zeros([5, 24]), 2, zeros([2]))).toThrow(
      /starts must be \[B \+ 1\] int64, contiguous and on the CPU, got \[2\] Float on cpu/,
    );
  });
});

describe("the kernel for the CPU", () => {
  it("passes NaN and infinity on where the composed operators do: a broken step is noticed", () => {
    using _scope = tensorScope();
    const shape = { B: 2, T: 10, H: 1, d: 8, R: 0, first: 0 };
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const qkv = normal([2, 10, 3 * 8], 7, "float32");
      noGrad(() => operator("aten::fill_.Scalar", qkv.select(0, 1).narrow(1, 8, 1), value));
      const finite = fused(qkv, 1).isfinite().toNumbers();
      expect(finite).toEqual(written(qkv, null, shape).isfinite().toNumbers());
      expect(new Set(finite)).toEqual(new Set([0, 1])); // image 0 is whole, image 1 is not
    }
  });

  it("has the same bits on one thread and on two", () => {
    using _scope = tensorScope();
    const before = threads();
    const results = [1, 2].map((count) => {
      setThreads(count);
      const qkv = normal([7, 50, 3 * 96], 8, "float32").requiresGrad_(true);
      const out = fused(qkv, 3);
      out.mul(out).sum().backward();
      return [out.toFloat32(), qkv.grad!.toFloat32()];
    });
    setThreads(before);
    expect(results[0]).toEqual(results[1]);
  });

  it("has the same bits where images of equal length lie apart", () => {
    using _scope = tensorScope();
    const both = [
      (qkv: Tensor): Tensor => fused(qkv.reshape([4, 30, 96]), 2).flatten(0, 1),
      (qkv: Tensor): Tensor =>
        operator(
          "odis::attention_apart",
          qkv,
          2,
          tensor(BigInt64Array.from([0n, 30n, 60n, 90n, 120n])),
        ),
    ].map((attend) => {
      const qkv = normal([120, 96], 15, "float32").requiresGrad_(true);
      const out = attend(qkv);
      out.mul(out).sum().backward();
      return [out.toFloat32(), qkv.grad!.toFloat32()];
    });
    expect(both[0]).toEqual(both[1]);
  });

  it.each([
    [() => fused(zeros([5, 24]), 2), /qkv must be \[B, T, 3 \* D\], got \[5, 24\]/],
    [() => fused(qkv(), 3), /multiple of 3 \* heads, got \[2, 5, 24\] and 3 heads/],
    [() => fused(qkv(), 0), /multiple of 3 \* heads, got \[2, 5, 24\] and 0 heads/],
    [
      () => fused(zeros([2, 5, 24], { dtype: "int64" }), 2),
      /must be floating-point numbers, got Long/,
    ],
    [() => fused(qkv().transpose(0, 1), 2), /qkv must be contiguous, got sizes \[5, 2, 24\]/],
    [() => fused(qkv(), 2, ones([2, 1, 5])), /allowed must be bool or uint8, got Float/],
    [
      () => fused(qkv(), 2, ones([2, 1, 4], { dtype: "bool" })),
      /allowed must be \[2, R, 5\] for this qkv, got \[2, 1, 4\]/,
    ],
    [
      () => fused(qkv(), 2, ones([2, 2, 5], { dtype: "bool" }), 4),
      /first_row must be 0 to 3 for 2 rows of 5, got 4/,
    ],
    [
      () => fused(qkv().requiresGrad_(true), 2).sum().backward(undefined, { createGraph: true }),
      /no second derivative; call backward without create_graph/,
    ],
  ])("refuses %# with a sentence", (wrong, sentence) => {
    using _scope = tensorScope();
    expect(wrong).toThrow(sentence);
  });
});

describe.each(runtimeInfo().devices)("mixed precision on %s", (device) => {
  it("takes bfloat16 through the same operator, gradients included", () => {
    using _scope = tensorScope();
    const shape = { B: 2, T: 17, H: 2, d: 16, R: 2, first: 1 };
    const x = normal([2, 17, 32], 9, "float32");
    const weight = normal([96, 32], 10, "float32").mul(0.2);
    const allowed = normal([2, 2, 17], 11, "float32").lt(0);
    noGrad(() => allowed.narrow(1, 1, 1).narrow(0, 0, 1).zero_()); // one row sees nothing
    const upstream = normal([2, 17, 32], 12, "float32");
    const gradient = (attend: (leaf: Tensor) => Tensor, leaf: Tensor): [Tensor, Tensor] => {
      const out = attend(leaf);
      out.backward(upstream.to({ device: out.device, dtype: out.dtype }));
      return [out.to({ device: "cpu" }).double(), leaf.grad!.to({ device: "cpu" }).double()];
    };
    const leaf = weight.to({ device }).detach().requiresGrad_();
    const there = (tensor: Tensor): Tensor => tensor.to({ device });
    const narrow = gradient(
      (w) =>
        autocast(device, "bfloat16", () => {
          const qkv = linear(there(x), w);
          expect(qkv.dtype).toBe("bfloat16");
          return fused(qkv, shape.H, there(allowed), shape.first);
        }),
      leaf,
    );
    const exact = gradient(
      (w) => written(linear(x.double(), w), allowed, shape),
      weight.detach().double().requiresGrad_(),
    );
    for (const [place, result] of narrow.entries()) {
      expect(distance(result, exact[place]!)).toBeLessThan(0.05); // bfloat16 has 8 bits
      expect(distance(result, exact[place]!)).toBeGreaterThan(0);
    }
    expect(narrow[0].select(0, 0).select(0, 2).abs().max().item()).toBe(0);
  });

  it("is the same attention in float32", () => {
    using _scope = tensorScope();
    const shape = { B: 3, T: 65, H: 3, d: 32, R: 1, first: 0 };
    const qkv = normal([3, 65, 288], 13, "float32");
    const allowed = normal([3, 1, 65], 14, "float32").lt(0.3);
    const out = fused(qkv.to({ device }), 3, allowed.to({ device }), 0).to({ device: "cpu" });
    expect(distance(out, written(qkv.double(), allowed, shape))).toBeLessThan(5e-3); // TF32 on a GPU
  });
});
