import {
  autocast,
  gradEnabled,
  gradientsOf,
  noGrad,
  ones,
  OperatorError,
  tensor,
  tensorScope,
  zeros,
} from "@odis/torch";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expectValues } from "./check.js";

let scope: Disposable;
beforeEach(() => {
  scope = tensorScope();
});
afterEach(() => scope[Symbol.dispose]());

describe("backward", () => {
  it("adds to the gradients of leaves", () => {
    const x = tensor([1, 2]).requiresGrad_();
    expect([x.requiresGrad, x.isLeaf, x.grad]).toEqual([true, true, undefined]);
    x.mul(x).sum().backward();
    expectValues(x.grad!, [2, 4]);
    x.mul(3).sum().backward();
    expectValues(x.grad!, [5, 7]);
    x.grad = undefined;
    expect(x.grad).toBeUndefined();
    x.grad = tensor([8, 9]);
    expectValues(x.grad, [8, 9]);
  });

  it("takes the gradient of a result with several elements", () => {
    const x = tensor([1, 2]).requiresGrad_();
    expect(() => x.mul(2).backward()).toThrow(
      /backward: grad can be implicitly created only for scalar/,
    );
    x.mul(2).backward(tensor([1, 10]));
    expectValues(x.grad!, [2, 20]);
  });

  it("goes twice through a graph only when told to keep it", () => {
    const x = tensor([2]).requiresGrad_();
    const y = x.mul(x).sum();
    y.backward(undefined, { retainGraph: true });
    y.backward();
    expectValues(x.grad!, [8]);
    expect(() => y.backward()).toThrow(
      /backward: Trying to backward through the graph a second time/,
    );
  });

  it("differentiates gradients", () => {
    const x = tensor([3]).requiresGrad_();
    const [slope] = gradientsOf([x.pow(3).sum()], [x], undefined, { createGraph: true });
    expectValues(slope!, [27]);
    const [curvature] = gradientsOf([slope!.sum()], [x]);
    expectValues(curvature!, [18]);
    expect(x.grad).toBeUndefined();
  });

  it("tells inputs that do not matter", () => {
    const x = tensor([1]).requiresGrad_();
    const y = tensor([1]).requiresGrad_();
    expect(gradientsOf([x.mul(2)], [x, y])[1]).toBeUndefined();
  });

  it("stops at detach", () => {
    const x = tensor([2]).requiresGrad_();
    const held = x.mul(3).detach();
    expect(held.requiresGrad).toBe(false);
    held.mul(x).sum().backward();
    expectValues(x.grad!, [6]);
  });

  it("goes through in-place changes of intermediates, and refuses them on leaves", () => {
    const x = tensor([2]).requiresGrad_();
    x.mul(1).mul_(5).sum().backward();
    expectValues(x.grad!, [5]);
    expect(() => x.add_(1)).toThrow(
      /aten::add_\.Tensor\(float32\[1\], 1\): a leaf Variable that requires grad is being used in an in-place/,
    );
  });

  it("needs only the graph: intermediates may be freed before", () => {
    const x = tensor([2]).requiresGrad_();
    const a = x.exp();
    const b = a.mul(a);
    const loss = b.sum();
    a.free();
    b.free();
    loss.backward();
    expect(x.grad!.item()).toBeCloseTo(2 * Math.exp(4), 3);
  });

  it("refuses a gradient of another shape or dtype", () => {
    const x = ones([2]).requiresGrad_();
    expect(() => {
      x.grad = zeros([3]);
    }).toThrow(
      "setGrad: got a gradient float32[3] for float32[2], wanted the same shape, dtype and device",
    );
  });

  it("refuses gradients for integers", () => {
    expect(() => ones([1], { dtype: "int64" }).requiresGrad_()).toThrow(OperatorError);
  });
});

describe("noGrad", () => {
  it("records nothing inside, and restores the mode", () => {
    const x = ones([1]).requiresGrad_();
    const y = noGrad(() => {
      expect(gradEnabled()).toBe(false);
      return x.mul(2);
    });
    expect(y.requiresGrad).toBe(false);
    expect(gradEnabled()).toBe(true);
  });

  it("restores the mode when the function throws, and when nested", () => {
    expect(() =>
      noGrad(() => {
        noGrad(() => 1);
        expect(gradEnabled()).toBe(false);
        throw new RangeError("mine");
      }),
    ).toThrow("mine");
    expect(gradEnabled()).toBe(true);
  });
});

describe("autocast", () => {
  it("multiplies in bfloat16 inside, float32 outside, with float32 gradients", () => {
    const w = ones([2, 2]).requiresGrad_();
    const made = autocast("cpu", "bfloat16", () => ones([2, 2]).matmul(w));
    expect(made.dtype).toBe("bfloat16");
    made.float().sum().backward();
    expect(w.grad!.dtype).toBe("float32");
    expectValues(w.grad!, [2, 2, 2, 2]);
    expect(ones([2, 2]).matmul(w).dtype).toBe("float32");
  });

  it("is restored when the function throws", () => {
    expect(() =>
      autocast("cpu", "bfloat16", () => {
        throw new RangeError("mine");
      }),
    ).toThrow("mine");
    expect(ones([1, 1]).matmul(ones([1, 1])).dtype).toBe("float32");
  });

  it("refuses what it cannot do", () => {
    expect(() => autocast("tpu", "bfloat16", () => 1)).toThrow(
      'setAutocast: got device "tpu", wanted "cpu", "cuda" (the first NVIDIA GPU) or "cuda:<number>"',
    );
    expect(() => autocast("cpu", "float16", () => 1)).toThrow(
      "setAutocast: got dtype float16, wanted bfloat16 on the CPU",
    );
  });
});
