import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { meaningOf } from "../../src/formats/meaning.js";

const backbone = (name: string, side?: string) => ({ side, kind: "backbone", name });
const head = (name: string, side?: string) => ({ side, kind: "head", name });

describe("names of other programs", () => {
  it.each([
    // DINO and iBOT, full checkpoints
    ["teacher.backbone.cls_token", backbone("cls_token", "teacher")],
    ["student.module.backbone.masked_embed", backbone("masked_embed", "student")],
    ["student.module.head.mlp.4.bias", head("head.mlp.4.bias", "student")],
    ["teacher.head.last_layer.weight_g", head("head.last_layer.weight_g", "teacher")],
    ["teacher.head.last_layer2.weight_v", head("head.last_layer_patch.weight_v", "teacher")],
    ["state_dict.blocks.11.attn.qkv.weight", backbone("blocks.11.attn.qkv.weight")],
    // DINOv2
    ["model.teacher.backbone.blocks.2.21.ls1.gamma", backbone("blocks.21.ls1.gamma", "teacher")],
    ["teacher.dino_head.mlp.0.weight", head("head.mlp.0.weight", "teacher")],
    ["teacher.ibot_head.last_layer.weight_g", head("head_patch.last_layer.weight_g", "teacher")],
    [
      "teacher.dino_head.last_layer.parametrizations.weight.original1",
      head("head.last_layer.weight_v", "teacher"),
    ],
    ["mask_token", backbone("masked_embed")],
    ["blocks.0.mlp.w12.bias", backbone("blocks.0.mlp.w12.bias")],
    // timm and BEiT
    ["patch_embed.proj.weight", backbone("patch_embed.proj.weight")],
    ["blocks.3.gamma_2", backbone("blocks.3.ls2.gamma")],
    ["norm.bias", backbone("norm.bias")],
    // Hugging Face
    ["vit.embeddings.position_embeddings", backbone("pos_embed")],
    ["encoder.layer.7.layernorm_after.weight", backbone("blocks.7.norm2.weight")],
    ["dinov2.encoder.layer.0.mlp.weights_out.bias", backbone("blocks.0.mlp.w3.bias")],
    ["encoder.layer.0.layer_scale2.lambda1", backbone("blocks.0.ls2.gamma")],
    [
      "encoder.layer.5.attention.attention.key.bias",
      { ...backbone("blocks.5.attn.qkv.bias"), part: { at: 1, of: 3 } },
    ],
    ["layernorm.weight", backbone("norm.weight")],
    // the same models of transformers 5 in memory
    ["vit.layers.3.attention.o_proj.bias", backbone("blocks.3.attn.proj.bias")],
    ["layers.3.layernorm_before.bias", backbone("blocks.3.norm1.bias")],
    [
      "layers.0.attention.v_proj.weight",
      { ...backbone("blocks.0.attn.qkv.weight"), part: { at: 2, of: 3 } },
    ],
    [
      "encoder.layer.0.mlp.up_proj.weight",
      { ...backbone("blocks.0.mlp.w12.weight"), part: { at: 1, of: 2 } },
    ],
    // odis
    ["student.backbone.obj_token", backbone("obj_token", "student")],
    ["teacher.head_patch.mlp.2.weight", head("head_patch.mlp.2.weight", "teacher")],
    ["head.last_layer_obj.weight_g", head("head.last_layer_obj.weight_g")],
  ])("%s", (name, meaning) => expect(meaningOf(name)).toEqual(meaning));

  it.each([
    ["register_tokens", "register tokens"],
    ["teacher.backbone.reg_token", "register tokens"],
    ["dist_token", "a distillation token"],
    ["rope_embed.periods", "rotary position embeddings"],
    ["blocks.0.attn.q_norm.weight", "a part of another network"],
    ["norm_pre.weight", "a part of another network"],
  ])("%s is not passed over", (name, what) =>
    expect(meaningOf(name)).toMatchObject({ kind: "foreign", what }),
  );

  it.each([
    ["head.weight", "a classifier's"],
    ["pooler.dense.bias", "a classifier's"],
    ["optimizer.state.0.exp_avg", "the old run's optimiser"],
    ["dino_loss.center", "the old run's loss"],
    ["centers.object", "the old run's loss"],
    ["queue", "nothing that odis has a place for"],
  ])("%s is no weight of a network", (name, reason) =>
    expect(meaningOf(name)).toMatchObject({ kind: "other", reason }),
  );

  it("sees through wrappers wherever they stand", () => {
    const wrapper = fc.constantFrom("module", "_orig_mod", "_fsdp_wrapped_module");
    const words = "teacher.backbone.blocks.4.norm1.weight".split(".");
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(words.length), wrapper), { maxLength: 5 }), (put) => {
        const wrapped = [...words];
        for (const [at, word] of put) wrapped.splice(at, 0, word);
        expect(meaningOf(wrapped.join("."))).toEqual(backbone("blocks.4.norm1.weight", "teacher"));
      }),
    );
  });
});
