import {
  call,
  type DType,
  EngineError,
  fromBuffer,
  full,
  Generator,
  ones,
  operatorsInUse,
  Tensor,
  tensor,
  tensorScope,
  zeros,
} from "@odis/torch";
import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";

// Nothing that a caller passes may end the process or leave it wrong: every call either returns or
// throws an EngineError (or the TypeError, RangeError or SyntaxError of JavaScript's own conversions),
// and afterwards the engine still computes. A crash would end this file's process and name it.

const generator = new Generator(1);
const freed = ones([2]);
freed.free();

/** Tensors of every dtype and some awkward shapes, made anew for each call. */
const shapes = [[], [0], [3], [2, 3], [3, 3], [1, 2, 4, 4], [2, 0, 3], [1, 1, 1, 1, 2]] as const;
const dtypes: readonly DType[] = [
  "float32",
  "float64",
  "int64",
  "int32",
  "uint8",
  "bool",
  "float16",
  "bfloat16",
];
const tensors = fc
  .record({
    shape: fc.constantFrom(...shapes),
    dtype: fc.oneof(
      { weight: 3, arbitrary: fc.constant<DType>("float32") },
      fc.constantFrom(...dtypes),
    ),
    value: fc.constantFrom(0, 1, -1, 2, 1.5, Number.NaN),
    form: fc.constantFrom("plain", "transposed", "expanded", "leaf"),
  })
  .map(({ shape, dtype, value, form }) => () => {
    const made = full(shape, value).to({ dtype });
    if (form === "transposed" && shape.length > 1) return made.transpose(0, -1);
    if (form === "expanded") return made.unsqueeze(0).expand([2, ...shape]);
    return form === "leaf" && dtype === "float32" ? made.requiresGrad_() : made;
  });

const numbers = fc.oneof(
  fc.integer({ min: -3, max: 5 }),
  fc.constantFrom(
    0.5,
    -0,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -Number.MAX_VALUE,
    1e-300,
    2 ** 45,
    2 ** 53,
    -(2 ** 53),
    -(2 ** 31),
  ),
);

const oddities: readonly unknown[] = [
  undefined,
  null,
  true,
  "",
  "tanh",
  "float32",
  "ij,jk->ik",
  "cpu",
  "cuda:0",
  "meta",
  "\u0000\ud800",
  10n,
  2n ** 70n,
  Symbol("x"),
  () => 1,
  {},
  Object.create(null),
  new Proxy([1, 2], {}),
  new Float32Array(3),
  Object.assign([], { length: 4_294_967_295 }),
  [[1]],
  [1, "a"],
  freed,
  generator,
];

/** A value to pass, made at the moment of the call. */
const values: fc.Arbitrary<() => unknown> = fc.oneof(
  { weight: 6, arbitrary: tensors },
  { weight: 4, arbitrary: numbers.map((value) => () => value) },
  { weight: 3, arbitrary: fc.array(numbers, { maxLength: 5 }).map((list) => () => list) },
  {
    weight: 2,
    arbitrary: fc
      .array(tensors, { maxLength: 3 })
      .map((makes) => () => makes.map((make) => make())),
  },
  { weight: 2, arbitrary: fc.constantFrom(...oddities).map((value) => () => value) },
);
const argumentLists = fc.array(values, { maxLength: 7 });

/** Runs the call; whatever it gave is read and, where it can be, differentiated. */
function attempt(act: () => unknown): void {
  try {
    const result = act();
    for (const one of Array.isArray(result) ? result : [result]) {
      if (!(one instanceof Tensor) || one.freed || one.size > 1e6) continue;
      one.toArray();
      if (one.requiresGrad) one.sum().backward();
    }
  } catch (error) {
    if (error instanceof EngineError) expect(error.message).toMatch(/^[^\n]+$/);
    else if (error instanceof RangeError || error instanceof SyntaxError) return;
    else expect(error).toBeInstanceOf(TypeError);
  }
}

/** The engine still computes, and the handles are in order. */
function stillWell(): void {
  const x = tensor([1, 2, 3]).requiresGrad_();
  x.mul(x).sum().backward();
  expect(x.grad?.toNumbers()).toEqual([2, 4, 6]);
}

const settings = { seed: 20261123, numRuns: 3000 }; // the same calls in every run
const operators = operatorsInUse();
const coreMethods = Object.getPrototypeOf(Tensor.prototype) as object;
const methods = [
  ...Object.entries(Object.getOwnPropertyDescriptors(Tensor.prototype)),
  ...Object.entries(Object.getOwnPropertyDescriptors(coreMethods)),
].filter(([name]) => name !== "constructor");

beforeEach(() => {
  process.removeAllListeners("warning"); // LibTorch warns of many a strange call
});

test("operators by name, with anything for arguments", { timeout: 300_000 }, () => {
  fc.assert(
    fc.property(fc.constantFrom(...operators), argumentLists, (name, list) => {
      using _scope = tensorScope();
      attempt(() => call(name, ...list.map((make) => make())));
      stillWell();
    }),
    settings,
  );
});

test("methods and properties of tensors, with anything for arguments", { timeout: 300_000 }, () => {
  fc.assert(
    fc.property(fc.constantFrom(...methods), tensors, argumentLists, ([, method], make, list) => {
      using _scope = tensorScope();
      const args = list.map((one) => one());
      const self = make();
      attempt(() =>
        typeof method.value === "function"
          ? Reflect.apply(method.value, self, args)
          : method.get?.call(self),
      );
      stillWell();
    }),
    settings,
  );
});

test("creation, with anything for data, shapes and options", { timeout: 300_000 }, () => {
  const makers = [tensor, fromBuffer, zeros, ones, full];
  const typed = fc.oneof(
    fc.constantFrom(new Float32Array(6), new BigInt64Array(2), new Uint8Array(4), new Int8Array(1)),
    fc.anything({ maxDepth: 2 }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...makers),
      typed,
      values,
      fc.anything({ maxDepth: 1 }),
      (make, data, shape, options) => {
        using _scope = tensorScope();
        attempt(() => Reflect.apply(make, undefined, [data, shape(), options]));
        stillWell();
      },
    ),
    settings,
  );
});
