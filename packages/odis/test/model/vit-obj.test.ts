import { fromBuffer, noGrad, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Backbone } from "../../src/model/backbone.js";
import { TokenLayout } from "../../src/model/tokens.js";
import { type PublishedViT, shapeOf } from "./shape.js";
import { device } from "../device.js";
import { expectClose, golden } from "../golden.js";

interface Case {
  readonly image: string;
  readonly object_mask: string | null;
  readonly mim_mask: boolean;
  readonly gradients: string | readonly string[] | null;
}

const reference = golden<{
  readonly config: PublishedViT;
  readonly cases: Readonly<Record<string, Case>>;
  readonly param_order: readonly string[];
}>("vit-obj");
const { cases, param_order } = reference.info;
const config = shapeOf(reference.info.config);

function load(): Backbone {
  const backbone = new Backbone(config, new TokenLayout(false, 1), true);
  for (const [name, weight] of backbone.namedParameters())
    noGrad(() => weight.copy_(tensor(reference.floats(`weights/${name}`), weight.shape)));
  return backbone.to(device).requiresGrad_(true);
}

const bools = (name: string, B: number): Tensor => {
  const bytes = reference.uint8(name);
  return fromBuffer(bytes, [B, bytes.length / B], { dtype: "bool" }).to({ device });
};

describe("backbone against the published ViT with an object mask in row 0", () => {
  it("has exactly the published weights, by name", () => {
    using _scope = tensorScope();
    const names = load()
      .namedParameters()
      .map(([name]) => name);
    expect(names.toSorted()).toEqual(param_order.toSorted());
  });

  for (const [name, { image, object_mask, mim_mask, gradients }] of Object.entries(cases)) {
    it(`${name}: tokens, attention${gradients ? " and gradients" : ""}`, () => {
      using _scope = tensorScope();
      const backbone = load();
      const shape = reference.shape(image);
      const images = tensor(reference.floats(image), shape).to({ device }).requiresGrad_(true);
      const at = `case/${name}`;
      const options = {
        visible: object_mask ? bools(`${at}/obj_mask`, shape[0]!) : undefined,
        hidden: mim_mask ? bools(`${at}/mim_mask`, shape[0]!) : undefined,
      };
      const tokens = backbone.forward(images, options);
      expectClose(tokens.toFloat32(), reference.floats(`${at}/tokens`));
      const attention = backbone.attention(images, options).select(2, 0); // [B, H, T] of [OBJ]
      expectClose(attention.toFloat32(), reference.floats(`${at}/attn_obj_last`));

      if (!gradients) return;
      const proj = tensor(reference.floats(`${at}/proj`), tokens.shape).to({ device });
      const loss = tokens.mul(proj).sum();
      if (reference.has(`${at}/loss`)) expectClose([loss.item()], reference.floats(`${at}/loss`));
      loss.backward();
      const got = new Map<string, Tensor>([...backbone.namedParameters(), ["image", images]]);
      for (const key of reference.names(`${at}/grad`)) {
        const weight = key.endsWith("grad_image") ? "image" : key.replace(`${at}/grad/`, "");
        expectClose(got.get(weight)!.grad!.toFloat32(), reference.floats(key));
      }
    });
  }
});
