import { checkOneToken, tensorEntry, tokenNotes, writeWeights } from "./entries.js";
import type { WeightSource } from "./find.js";
import type { WritableFormat } from "./format.js";
import { imageIn, sizeIn } from "./leaves.js";
import { linear, type NameTable, renamer } from "./naming.js";

/** Names of `VisionTransformer`, which DINO's trainers and ours share. */
export const vitNames: NameTable = [
  ["(cls_token|pos_embed)", "$1"],
  [`patch_embed.proj.${linear}`, "patch_embed.proj.$1"],
  [`norm.${linear}`, "norm.$1"],
  ["blocks.(\\d+).(ls[12]).gamma", "blocks.$1.$2.gamma"],
  [`blocks.(\\d+).(norm1|norm2|attn.qkv|attn.proj|mlp.fc1|mlp.fc2).${linear}`, "blocks.$1.$2.$3"],
];

/**
 * timm's `VisionTransformer`, any release that has LayerScale. [OBJ] becomes its `cls_token`; gated
 * layers are those of `SwiGLUPacked`.
 */
export const timm: WritableFormat<"timm"> = {
  name: "timm",
  title: "timm's VisionTransformer",
  read: {
    rename: renamer([...vitNames, ["blocks.(\\d+).gamma_([12])", "blocks.$1.ls$2.gamma"]]),
    settle: withSwiGlu,
    folder: { weights: "model.safetensors", texts: { "config.json": "config" } },
    stated(plain) {
      const noEmbedClass = plain.get("config.model_args.no_embed_class");
      return {
        dim: sizeIn(plain, "config.model_args.embed_dim"),
        depth: sizeIn(plain, "config.model_args.depth"),
        heads: sizeIn(plain, "config.model_args.num_heads"),
        patch: sizeIn(plain, "config.model_args.patch_size"),
        // Height and width of what the weights were trained on; a channel stands before them.
        image:
          imageIn(plain, "config.model_args.img_size") ??
          imageIn(plain, "config.pretrained_cfg.input_size", 1),
        specialPositions: typeof noEmbedClass === "boolean" ? !noEmbedClass : undefined,
      };
    },
  },
  write: {
    makes: "file",
    async write(out, exported) {
      const { backbone } = exported.network;
      checkOneToken(backbone);
      const entries = backbone
        .namedParameters()
        .filter(([name]) => name !== "masked_embed")
        .map(([name, weight]) => tensorEntry(theirName(name), weight, exported.precision));
      writeWeights(out, entries, exported);
      return [out];
    },
    notes: ({ network }) => [
      ...tokenNotes(network),
      ...(network.backbone.maskedEmbed ? ["left out: masked_embed, which timm has not"] : []),
      "heads are left out; --format odis keeps them",
    ],
  },
};

function theirName(ours: string): string {
  if (ours === "obj_token") return "cls_token";
  return ours.replace(".w12.", ".fc1.").replace(".w3.", ".fc2.");
}

/** timm's gated MLP has a plain one's names; its first layer is twice as wide as its second reads. */
function withSwiGlu(
  backbone: ReadonlyMap<string, WeightSource>,
): ReadonlyMap<string, WeightSource> {
  const [outputs] = backbone.get("blocks.0.mlp.fc1.weight")?.shape ?? [];
  const [, inputs] = backbone.get("blocks.0.mlp.fc2.weight")?.shape ?? [];
  if (outputs === undefined || inputs === undefined || outputs !== 2 * inputs) return backbone;
  return new Map(
    [...backbone].map(([name, source]) => [
      name.replace(".mlp.fc1.", ".mlp.w12.").replace(".mlp.fc2.", ".mlp.w3."),
      source,
    ]),
  );
}
