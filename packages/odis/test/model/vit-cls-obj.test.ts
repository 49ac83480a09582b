import { fromBuffer, noGrad, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Backbone } from "../../src/model/backbone.js";
import { TokenLayout } from "../../src/model/tokens.js";
import { expectClose, golden } from "../golden.js";
import { type PublishedViT, shapeOf } from "./shape.js";

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

const reference = golden<{
  readonly config: PublishedViT;
  readonly variants: Readonly<Record<string, Variant>>;
}>("vit-cls-obj");
const { config, variants } = reference.info;

function load(variant: Variant): Backbone {
  const K = variant.num_object_tokens;
  const backbone = new Backbone(
    {
      ...shapeOf(config),
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
        const [B, , H, W] = images.dims(4);
        const N = (H / config.patch_size) * (W / config.patch_size);
        const options = {
          visible: obj_attn_mask ? visibleOf(at, K) : undefined,
          hidden: mim_mask
            ? fromBuffer(reference.uint8(`${at}/mim_mask`), [B, N], { dtype: "bool" })
            : undefined,
        };
        const tokens = backbone.forward(images, options);
        expectClose(tokens.toFloat32(), reference.floats(`${at}/tokens`));
        const attention = backbone.attention(images, options).narrow(2, 1, K);
        expectClose(attention.toFloat32(), reference.floats(`${at}/attn_obj_last`));
        const everyRow = `${at}/attn_last`;
        if (reference.has(everyRow))
          expectClose(
            backbone.attention(images, options, { rows: tokens.dims(3)[1] }).toFloat32(),
            reference.floats(everyRow),
          );
        if (!gradients) return;
        const proj = tensor(reference.floats(`${at}/proj`), tokens.shape);
        const loss = tokens.mul(proj).sum();
        expectClose([loss.item()], reference.floats(`${at}/loss`));
        loss.backward();
        for (const [path, weight] of backbone.namedParameters())
          expectClose(weight.grad!.toFloat32(), reference.floats(`${at}/grad/${path}`));
      });
  }

  it("can be asked for one object when it was trained on several", () => {
    using _scope = tensorScope();
    const [name, variant] = Object.entries(variants).find(
      ([, { single_embed_obj_pos }]) => single_embed_obj_pos,
    )!;
    const { image } = variant.cases["base"]!;
    const backbone = load(variant);
    const images = tensor(reference.floats(image), reference.shape(image));
    const all = visibleOf(`${name}/base`, variant.num_object_tokens);
    const one = backbone.forward(images, { visible: all.narrow(1, 1, 1) });
    expect(one.shape).toEqual([images.dims(4)[0], 1 + 1 + all.dims(3)[2], config.embed_dim]);
    const flat = backbone.forward(images, { visible: all.select(1, 1) });
    expect([...flat.toFloat32()]).toEqual([...one.toFloat32()]);
  });
});
