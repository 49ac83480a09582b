import { type Module, noGrad, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { LayerScale, SwiGlu } from "../../src/model/block.js";
import { expectClose, golden } from "../golden.js";

const reference = golden<{
  readonly config: { readonly dim: number; readonly hidden: number };
  readonly fused_hidden: { readonly requested: number; readonly used: number };
}>("layers-dinov2");
const { config, fused_hidden } = reference.info;

describe("layers against DINOv2's", () => {
  const layers: Record<string, () => Module & { forward(x: Tensor): Tensor }> = {
    swiglu: () => new SwiGlu(config.dim, config.hidden),
    swiglu_fused: () => new SwiGlu(config.dim, SwiGlu.widthFor(fused_hidden.requested)),
    layer_scale: () => new LayerScale(config.dim),
  };
  for (const [name, make] of Object.entries(layers))
    it(`${name}: values and gradients`, () => {
      using _scope = tensorScope();
      const layer = make();
      const weights = layer.namedParameters();
      expect(weights.map(([path]) => `${name}/weights/${path}`).toSorted()).toEqual(
        [...reference.names(`${name}/weights/`)].toSorted(),
      );
      for (const [path, weight] of weights)
        noGrad(() =>
          weight.copy_(tensor(reference.floats(`${name}/weights/${path}`), weight.shape)),
        );
      layer.requiresGrad_(true);
      const read = (key: string): Tensor =>
        tensor(reference.floats(`${name}/${key}`), reference.shape(`${name}/${key}`));
      const x = read("in").requiresGrad_(true);
      const out = layer.forward(x);
      expectClose(out.toFloat32(), reference.floats(`${name}/out`));
      out.mul(read("proj")).sum().backward();
      expectClose(x.grad!.toFloat32(), reference.floats(`${name}/grad_in`));
      for (const [path, weight] of weights)
        expectClose(weight.grad!.toFloat32(), reference.floats(`${name}/grad/${path}`));
    });

  it("rounds two thirds of the width up to 8, as published", () => {
    expect(SwiGlu.widthFor(fused_hidden.requested)).toBe(fused_hidden.used);
    expect(SwiGlu.widthFor(4 * 1536)).toBe(4096); // ViT-g
  });
});
