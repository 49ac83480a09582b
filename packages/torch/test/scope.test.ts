import {
  gradEnabled,
  liveBytes,
  liveTensors,
  noGrad,
  ones,
  ScopeError,
  Tensor,
  tensor,
  tensorScope,
  tidy,
  UseAfterFreeError,
  zeros,
} from "@odis/torch";
import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";

let before = 0;
beforeEach(() => {
  before = liveTensors();
});
afterEach(() => {
  expect(liveTensors()).toBe(before);
});

describe("a scope", () => {
  it("frees what was made in it when the block ends", () => {
    let inner: Tensor;
    {
      using _scope = tensorScope();
      inner = ones([2]).add(1);
      expect(liveTensors()).toBe(before + 2);
      expect(inner.freed).toBe(false);
    }
    expect(inner.freed).toBe(true);
  });

  it("frees also when the block throws", () => {
    expect(() => {
      using _scope = tensorScope();
      ones([2]);
      throw new RangeError("mine");
    }).toThrow("mine");
  });

  it("hands what it keeps to the scope around it", () => {
    using outer = tensorScope();
    let kept: Tensor;
    {
      using inner = tensorScope();
      kept = inner.keep(ones([2]));
    }
    expect(kept.freed).toBe(false);
    outer[Symbol.dispose]();
    expect(kept.freed).toBe(true);
  });

  it("leaves alone what was made outside, kept or not", () => {
    using _outer = tensorScope();
    const mine = ones([1]);
    tidy(() => mine);
    {
      using inner = tensorScope();
      inner.keep(mine);
      mine.add(1);
    }
    expect(mine.freed).toBe(false);
  });

  it("closing twice, or freeing by hand first, is no error", () => {
    const scope = tensorScope();
    const x = ones([1]);
    x.free();
    x.free();
    x[Symbol.dispose]();
    scope[Symbol.dispose]();
    scope[Symbol.dispose]();
  });

  it("refuses to close before a scope that was opened after it, and recovers", () => {
    const outer = tensorScope();
    ones([1]);
    const inner = tensorScope();
    ones([1]);
    expect(() => outer[Symbol.dispose]()).toThrow(ScopeError);
    expect(() => outer[Symbol.dispose]()).not.toThrow();
    inner[Symbol.dispose]();
    // Both are closed now: a tensor belongs to no scope of theirs.
    const free = ones([1]);
    expect(free.freed).toBe(false);
    free.free();
  });

  it("says so when asynchronous functions interleave their scopes", async () => {
    const work = async (turns: number): Promise<void> => {
      using _scope = tensorScope();
      for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    };
    const results = await Promise.allSettled([work(1), work(5)]);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(String((results[0] as PromiseRejectedResult).reason)).toMatch(
      /ScopeError: a tensor scope was closed while a scope opened after it is still open.*await/,
    );
  });
});

describe("tidy", () => {
  it("lets the tensors of its result live, wherever they are in it", () => {
    using _scope = tensorScope();
    const result = tidy(() => {
      const x = ones([1]);
      x.add(1);
      return {
        one: x.add(2),
        many: [x.add(3), { deep: x.add(4) }],
        map: new Map([["k", x.add(5)]]),
        set: new Set([x.add(6)]),
        data: new Float32Array(3),
        nothing: null,
      };
    });
    expect(liveTensors()).toBe(before + 5);
    expect((result.many[1] as { deep: Tensor }).deep.item()).toBe(5);
    expect(result.map.get("k")?.item()).toBe(6);
  });

  it("survives results that contain themselves", () => {
    using _scope = tensorScope();
    const loop: { self?: unknown; x: Tensor } = tidy(() => {
      const made: { self?: unknown; x: Tensor } = { x: ones([1]) };
      made.self = made;
      return made;
    });
    expect(loop.x.freed).toBe(false);
  });

  it("refuses asynchronous functions, and frees what they made so far", () => {
    expect(() => tidy(async () => ones([1]))).toThrow(
      /tidy: got an asynchronous function, wanted a synchronous one/,
    );
    expect(() => noGrad(async () => 1)).toThrow(/noGrad: got an asynchronous function/);
    expect(gradEnabled()).toBe(true);
  });

  it("keeps the graph of its result for backward", () => {
    using _scope = tensorScope();
    const x = tensor([3]).requiresGrad_();
    const y = tidy(() => x.mul(x).exp().log().sum());
    y.backward();
    using gradient = x.grad!;
    expect(gradient.item()).toBeCloseTo(6, 4);
  });
});

test("every use of a freed tensor is a UseAfterFreeError that names the operator", () => {
  using _scope = tensorScope();
  const gone = ones([2]);
  const here = ones([2]);
  gone.free();
  const uses: readonly (readonly [string, () => unknown])[] = [
    ["aten::add.Tensor", () => here.add(gone)],
    ["aten::neg", () => gone.neg()],
    ["aten::add_.Tensor", () => gone.add_(1)],
    ["shape", () => gone.shape],
    ["dtype", () => gone.dtype],
    ["item", () => gone.item()],
    ["dtype", () => gone.toArray()],
    ["requiresGrad", () => gone.requiresGrad],
    ["grad", () => gone.grad],
    ["backward", () => gone.backward()],
  ];
  for (const [name, use] of uses) {
    expect(use).toThrow(UseAfterFreeError);
    expect(use).toThrow(name);
    expect(use).toThrow(/freed: the scope it was made in has ended, or free\(\) was called/);
  }
});

test("a reused place in the table is not mistaken for the tensor that was there", () => {
  using _scope = tensorScope();
  const old = ones([1]);
  old.free();
  const fresh = Array.from({ length: 100 }, () => zeros([1]));
  expect(() => old.item()).toThrow(UseAfterFreeError);
  expect(fresh.every((one) => one.item() === 0)).toBe(true);
});

test("views share memory, and it lives as long as one of them", () => {
  using _scope = tensorScope();
  const bytes = liveBytes();
  const x = zeros([256, 256]);
  const row = x.select(0, 3);
  expect(liveBytes() - bytes).toBe(256 * 256 * 4);
  x.free();
  row.fill_(2);
  expect(row.sum().item()).toBe(512);
});

test("forgotten tensors outside all scopes are collected before they add up", async () => {
  const start = liveBytes();
  let most = 0;
  for (let count = 0; count < 1000; count += 1) {
    zeros([256, 1024]); // 1 MiB, of which V8 sees an object of a few bytes
    if (count % 10 === 0) await setImmediate();
    most = Math.max(most, liveBytes() - start);
  }
  expect(most).toBeLessThan(400 << 20);
  while (liveTensors() > before) {
    Array.from({ length: 1e6 }, () => ({})); // work for the collector, which frees the rest
    await setImmediate();
  }
});

test("a thousand steps leave as many tensors and bytes as one", () => {
  using _scope = tensorScope();
  const weight = ones([16, 16]).requiresGrad_();
  const step = (): void => {
    using _step = tensorScope();
    ones([4, 16]).matmul(weight).gelu().sum().backward();
    noGrad(() => weight.sub_(weight.grad!, 1e-3));
    weight.grad = undefined;
  };
  step();
  const after = [liveTensors(), liveBytes()];
  for (let count = 0; count < 1000; count += 1) step();
  expect([liveTensors(), liveBytes()]).toEqual(after);
});
