import { type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { sinkhorn } from "../../src/loss/centering.js";
import { koleo } from "../../src/loss/koleo.js";
import { expectClose, golden } from "../golden.js";

const reference = golden("loss-dinov2");
const read = (name: string): Tensor => tensor(reference.floats(name), reference.shape(name));

describe("Sinkhorn-Knopp against DINOv2", () => {
  for (const kind of ["sk_dino", "sk_patch"])
    for (const iterations of [1, 3])
      it(`${kind}, ${iterations} iteration${iterations > 1 ? "s" : ""}`, () => {
        using _scope = tensorScope();
        const targets = sinkhorn(read(`${kind}/teacher_logits`), 0.06, iterations);
        expectClose(targets.toFloat32(), reference.floats(`${kind}/iters${iterations}`));
      });

  it("stays finite for logits whose exponential overflows", () => {
    using _scope = tensorScope();
    const targets = sinkhorn(tensor(Float32Array.from([90, 1, 2, 80, -90, 0]), [2, 3]), 0.05, 3);
    for (const row of [targets.select(0, 0), targets.select(0, 1)])
      expect(row.sum().item()).toBeCloseTo(1, 5);
  });
});

describe("KoLeo against DINOv2", () => {
  it("value and gradient", () => {
    using _scope = tensorScope();
    const input = read("koleo/input").requiresGrad_(true);
    const loss = koleo(input);
    expectClose([loss.item()], reference.floats("koleo/loss"));
    loss.backward();
    expectClose(input.grad!.toFloat32(), reference.floats("koleo/grad_input"));
  });

  it("leaves duplicates without a push, and finite", () => {
    using _scope = tensorScope();
    const twins = tensor(Float32Array.from([1, 2, 3, 1, 2, 3]), [2, 3]).requiresGrad_(true);
    const loss = koleo(twins);
    loss.backward();
    expect(loss.item()).toBeCloseTo(-Math.log(1e-4), 3);
    expect([...twins.grad!.toFloat32()]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});
