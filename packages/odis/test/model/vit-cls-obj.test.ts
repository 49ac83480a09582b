import { fromBuffer, noGrad, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Backbone } from "../../src/model/backbone.js";
import { TokenLayout } from "../../src/model/tokens.js";
import { expectClose, golden } from "../golden.js";
import { plainBackbone } from "./shape.js";

interface Variant {
  readonly num_object_tokens: number;
  readonly separate_obj_attn: boolean;
  readonly use_different_obj_tokens: boolean;
  readonly single_embed_obj_pos: boolean;
  readonly weight_keys: Readonly<Record<string, string>>;
  readonly param_order: readonly string[];
  readonly cases: Readonly<
    Record<
      string,
      {
        readonly image: string;
        readonly obj_attn_mask: boolean;
        readonly mim_mask: boolean;
        readonly gradients: boolean;
      }
    >
  >;
}

const reference = golden("vit-cls-obj");
const { variants } = reference.info as { variants: Readonly<Record<string, Variant>> };

function load(variant: Variant): Backbone {
  const K = variant.num_object_tokens;
  const backbone = new Backbone(
    {
      ...plainBackbone,
      dim: 32,
      depth: 2,
      heads: 4,
      patch: 8,
      imageSize: 32,
      objectEmbedding: variant.use_different_obj_tokens ? "each" : "shared",
      objectPosition: variant.single_embed_obj_pos ? "shared" : "each",
    },
    new TokenLayout(true, K, variant.separate_obj_attn ? "separate" : "masked"),
    true,
  );
  for (const [name, weight] of backbone.namedParameters()) {
    const key = variant.weight_keys[name] ?? `weights/${name}`;
    noGrad(() => weight.copy_(tensor(reference.floats(key), weight.shape)));
  }
  return backbone.requiresGrad_(true);
}

/** The published rows of [OBJ] over all keys; ours are given by their patches alone. */
function visibleOf(at: string, K: number): Tensor {
  const name = `${at}/obj_attn_mask`; // [B, K, 1 + K + N]
  const [B, , T] = reference.shape(name) as [number, number, number];
  const all = fromBuffer(reference.uint8(name), [B, K, T], { dtype: "bool" });
  return all.narrow(2, 1 + K, T - 1 - K);
}

describe("backbone against the published follow-up's ViT with [CLS] and K x [OBJ]", () => {
  for (const [name, variant] of Object.entries(variants)) {
    const K = variant.num_object_tokens;
    it(`${name}: has exactly the published weights, by name`, () => {
      using _scope = tensorScope();
      const names = load(variant)
        .namedParameters()
        .map(([path]) => path);
      expect(names.toSorted()).toEqual(variant.param_order.toSorted());
    });

    for (const [label, { image, obj_attn_mask, mim_mask, gradients }] of Object.entries(
      variant.cases,
    ))
      it(`${name}, ${label}: tokens, attention${gradients ? " and gradients" : ""}`, () => {
        using _scope = tensorScope();
        const backbone = load(variant);
        const at = `${name}/${label}`;
        const images = tensor(reference.floats(image), reference.shape(image));
        const [B, N] = [images.shape[0]!, (images.shape[2]! / 8) * (images.shape[3]! / 8)];
        const options = {
          visible: obj_attn_mask ? visibleOf(at, K) : undefined,
          hidden: mim_mask
            ? fromBuffer(reference.uint8(`${at}/mim_mask`), [B, N], { dtype: "bool" })
            : undefined,
        };
        const tokens = backbone.forward(images, options);
        expectClose(tokens.toFloat32(), reference.floats(`${at}/tokens`));
        const attention = backbone.lastAttention(images, options).narrow(2, 1, K);
        expectClose(attention.toFloat32(), reference.floats(`${at}/attn_obj_last`));
        if (!gradients) return;
        const proj = tensor(reference.floats(`${at}/proj`), tokens.shape);
        tokens.mul(proj).sum().backward();
        for (const [path, weight] of backbone.namedParameters())
          expectClose(weight.grad!.toFloat32(), reference.floats(`${at}/grad/${path}`));
      });
  }

  it("can be asked for one object when it was trained on three", () => {
    using _scope = tensorScope();
    const variant = variants["k3_single"]!;
    const backbone = load(variant);
    const images = tensor(reference.floats("images/32x32"), [2, 3, 32, 32]);
    const three = visibleOf("k3_single/base", 3);
    const one = backbone.forward(images, { visible: three.narrow(1, 1, 1) });
    expect(one.shape).toEqual([2, 1 + 1 + 16, 32]);
    const flat = backbone.forward(images, { visible: three.select(1, 1) });
    expect([...flat.toFloat32()]).toEqual([...one.toFloat32()]);
  });
});
