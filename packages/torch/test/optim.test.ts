import {
  AdamW,
  call,
  clipGradients,
  emaUpdate_,
  noGrad,
  runtimeInfo,
  type Tensor,
  tensor,
  zeros,
} from "@odis/torch";
import { describe, expect, it } from "vitest";

const numbers = { lr: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1 };

interface Lists {
  readonly parameters: readonly Tensor[];
  readonly gradients: readonly Tensor[];
  readonly means: readonly Tensor[];
  readonly squares: readonly Tensor[];
}

/** One AdamW update by an operator of ours. */
function update(operator: string, lists: Lists, updates: number): void {
  const { parameters, gradients, means, squares } = lists;
  const { lr, beta1, beta2, epsilon, decay } = numbers;
  const rates = [lr, beta1, beta2, epsilon, decay, updates];
  call(operator, parameters, gradients, means, squares, ...rates);
}

/** The kernel for the CPU, and what every other device gets, on all devices there are. */
const everywhere = (name: string): (readonly [string, string])[] =>
  runtimeInfo().devices.flatMap((device) => [
    [`odis::${name}_`, device] as const,
    [`odis::${name}_composed_`, device] as const,
  ]);

/** Sizes below, at and above what a vector and a thread's share hold. */
const sizes = [1, 7, 8, 33, 70_000];

const wave = (n: number, phase: number): Tensor =>
  tensor(Float64Array.from({ length: n }, (_, i) => Math.sin(0.37 * i + phase)));

/** Adam with decoupled decay, element by element (Loshchilov and Hutter 2019, algorithm 2). */
function plainAdamW(start: number[], gradients: number[][]): number[] {
  const { lr, beta1, beta2, epsilon, decay } = numbers;
  return start.map((value, i) => {
    let [p, m, v] = [value, 0, 0];
    for (const [step, gradient] of gradients.entries()) {
      m = beta1 * m + (1 - beta1) * gradient[i]!;
      v = beta2 * v + (1 - beta2) * gradient[i]! ** 2;
      const mean = m / (1 - beta1 ** (step + 1));
      const square = v / (1 - beta2 ** (step + 1));
      p = p - lr * decay * p - (lr * mean) / (Math.sqrt(square) + epsilon);
    }
    return p;
  });
}

/** GPUs take powers of the betas in float32, which here is lr * 1e-6. */
function expectClose(got: readonly number[], wanted: readonly number[], device = "cpu"): void {
  const worst = Math.max(...got.map((value, i) => Math.abs(value - wanted[i]!)));
  expect(worst).toBeLessThan(device === "cpu" ? 1e-14 : 1e-8);
}

describe.each(everywhere("adamw"))("%s on %s", (operator, device) => {
  it("equals the algorithm written out, over three updates", () => {
    for (const n of sizes) {
      const weight = wave(n, 0).to({ device });
      const start = weight.toNumbers();
      const none = (): Tensor => zeros([n], { dtype: "float64", device });
      const [mean, square] = [none(), none()];
      const gradients = [1, 2, 3].map((phase) => wave(n, phase).to({ device }));
      for (const [step, gradient] of gradients.entries()) {
        const lists = {
          parameters: [weight],
          gradients: [gradient],
          means: [mean],
          squares: [square],
        };
        update(operator, lists, step + 1);
      }
      const wanted = plainAdamW(
        start,
        gradients.map((gradient) => gradient.toNumbers()),
      );
      expectClose(weight.toNumbers(), wanted, device);
    }
  });

  it("takes gradients that lie in memory in another order", () => {
    const [rows, columns] = [5, 300];
    const weight = wave(rows * columns, 0)
      .reshape([rows, columns])
      .clone()
      .to({ device });
    const start = weight.flatten().toNumbers();
    const gradient = wave(rows * columns, 1)
      .to({ device })
      .reshape([columns, rows])
      .transpose(0, 1);
    const moments = [0, 1].map(() => zeros([rows, columns], { dtype: "float64", device }));
    const lists = {
      parameters: [weight],
      gradients: [gradient],
      means: [moments[0]!],
      squares: [moments[1]!],
    };
    update(operator, lists, 1);
    const wanted = plainAdamW(start, [gradient.flatten().toNumbers()]);
    expectClose(weight.flatten().toNumbers(), wanted, device);
  });
});

describe.each(everywhere("ema_update"))("%s on %s", (operator, device) => {
  it("keeps the momentum's share of the slow weights", () => {
    for (const n of sizes) {
      const [slow, fast] = [wave(n, 0).to({ device }), wave(n, 1).to({ device })];
      const [before, towards] = [slow.toNumbers(), fast.toNumbers()];
      call(operator, [slow], [fast], 0.9);
      expectClose(
        slow.toNumbers(),
        before.map((value, i) => 0.9 * value + 0.1 * towards[i]!),
        device,
      );
      expect(fast.toNumbers()).toEqual(towards);
    }
  });
});

describe("lists that do not fit", () => {
  it("are refused with what was got and wanted", () => {
    const lists = { parameters: [wave(2, 0)], gradients: [], means: [], squares: [] };
    for (const operator of ["odis::adamw_", "odis::adamw_composed_"])
      expect(() => update(operator, lists, 1)).toThrow(
        /odis::adamw_.*got 0 gradients, wanted one for each of 1 weights/s,
      );
    expect(() => call("odis::ema_update_", [wave(2, 0)], [wave(3, 0)], 0.5)).toThrow(
      /tensor 1 of an update has shape \[3\], wanted \[2\]/,
    );
    expect(() => call("odis::ema_update_composed_", [wave(2, 0)], [], 0.5)).toThrow(
      /got 0 fast weights, wanted one for each of 1 weights/,
    );
  });
});

describe("AdamW, clipping and following together", () => {
  it("leave a weight without a gradient alone, and count its updates from when it thaws", () => {
    const [moving, frozen] = [wave(3, 0).requiresGrad_(), wave(3, 1).requiresGrad_()];
    const optimizer = new AdamW([
      {
        decay: true,
        parameters: [
          ["moving", moving],
          ["frozen", frozen],
        ],
      },
    ]);
    const before = frozen.toNumbers();
    moving.grad = wave(3, 2);
    optimizer.step({ lr: 0.01, weightDecay: 0.1 });
    expect(frozen.toNumbers()).toEqual(before);
    frozen.grad = wave(3, 2);
    optimizer.step({ lr: 0.01, weightDecay: 0.1 });
    expect([...optimizer.state().values()].map(({ updates }) => updates)).toEqual([2, 1]);
    expect(frozen.toNumbers()).not.toEqual(before);
  });

  it("scales only gradients over the limit, by their own norm or by that of all", () => {
    const weights = [tensor([0, 0]).requiresGrad_(), tensor([0]).requiresGrad_()];
    const fill = (): void => {
      weights[0]!.grad = tensor([3, 4]);
      weights[1]!.grad = tensor([0.5]);
    };
    fill();
    const gradients = (): Tensor[] => weights.map(({ grad }) => grad!);
    expect(clipGradients(gradients(), 1, "each").toNumbers()).toEqual([5, 0.5]);
    expect(weights[0]!.grad!.norm().item()).toBeCloseTo(1, 5);
    expect(weights[1]!.grad!.item()).toBe(0.5);
    fill();
    clipGradients(gradients(), 1, "global");
    expect(Math.hypot(weights[0]!.grad!.norm().item(), weights[1]!.grad!.item())).toBeCloseTo(1, 5);
  });

  it("move a teacher that records nothing", () => {
    const [slow, fast] = [wave(4, 0), wave(4, 1).requiresGrad_()];
    emaUpdate_([slow], [fast], 0.75);
    expect(slow.requiresGrad).toBe(false);
    noGrad(() => expect(slow.norm().item()).toBeGreaterThan(0));
  });
});
