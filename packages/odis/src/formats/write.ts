import { type DType, noGrad, ones, type Tensor, type TensorEntry, tidy } from "@odis/torch";
import { ConfigError } from "../core/index.js";
import type { Backbone, Network } from "../model/index.js";
import { type Family, toHuggingFace } from "./names.js";

/** Tensors to write; their elements are asked for one at a time. */
type Entries = readonly TensorEntry[];

/** Backbone and heads under their own names. */
export function odisEntries(network: Network): Entries {
  return network.namedParameters().map(([name, weight]) => entry(name, weight));
}

/**
 * The backbone under timm's names: `VisionTransformer` of any release that has LayerScale reads it.
 * [OBJ] is their `cls_token`; gated layers are those of `SwiGLUPacked`.
 *
 * @throws ConfigError when the network has more tokens before its patches than theirs
 */
export function timmEntries({ backbone }: Network): Entries {
  checkOneToken(backbone);
  return backbone
    .namedParameters()
    .filter(([name]) => name !== "masked_embed")
    .map(([name, weight]) =>
      entry(asClsToken(name).replace(".w12.", ".fc1.").replace(".w3.", ".fc2."), weight),
    );
}

/** Which model of transformers has all parts of a network. */
export function familyOf({ config: { layerScale, ffn } }: Backbone): Family {
  return layerScale > 0 || ffn === "swiglu" ? "dinov2" : "vit";
}

/**
 * The backbone under the names of `Dinov2Model`, or of `ViTModel` when it has neither LayerScale nor
 * gated layers.
 *
 * @throws ConfigError when the network has more tokens before its patches than theirs
 */
export function huggingFaceEntries({ backbone }: Network): Entries {
  checkOneToken(backbone);
  const { config } = backbone;
  const family = familyOf(backbone);
  const entries = backbone.namedParameters().flatMap(([ours, weight]) => {
    const names = toHuggingFace(asClsToken(ours), family);
    const [rows = 0] = weight.shape;
    if (names.length === 1) return entry(names[0]!, weight, hiddenShape(ours, family, config.dim));
    const shape = [rows / names.length, ...weight.shape.slice(1)];
    return names.map((name, third) =>
      entry(name, weight, shape, (all) => all.narrow(0, third * shape[0]!, shape[0]!)),
    );
  });
  if (family === "vit" || config.layerScale > 0) return entries;
  // Theirs has LayerScale in any case.
  const scales = Array.from({ length: config.depth }, (_, block) =>
    ["ls1", "ls2"].map((name) => `blocks.${block}.${name}.gamma`),
  );
  return [
    ...entries,
    ...scales.flat().map((ours) => ({
      name: toHuggingFace(ours, family)[0]!,
      dtype: "float32" as const,
      shape: [config.dim],
      data: () => tidy(() => ones([config.dim]).toFloat32()),
    })),
  ];
}

/** Their `config.json`. */
export function huggingFaceConfig({ backbone }: Network): Readonly<Record<string, unknown>> {
  const { dim, depth, heads, mlpRatio, ffn, patch, imageSize } = backbone.config;
  const common = {
    hidden_size: dim,
    num_hidden_layers: depth,
    num_attention_heads: heads,
    image_size: imageSize,
    patch_size: patch,
    num_channels: 3,
    qkv_bias: true,
    hidden_act: "gelu",
    layer_norm_eps: 1e-6,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    torch_dtype: "float32",
  };
  return familyOf(backbone) === "vit"
    ? {
        architectures: ["ViTModel"],
        model_type: "vit",
        intermediate_size: Math.round(mlpRatio * dim),
        ...common,
      }
    : {
        architectures: ["Dinov2Model"],
        model_type: "dinov2",
        mlp_ratio: mlpRatio,
        use_swiglu_ffn: ffn === "swiglu",
        use_mask_token: backbone.maskedEmbed !== undefined,
        layerscale_value: 1,
        drop_path_rate: 0,
        ...common,
      };
}

function entry(
  name: string,
  weight: Tensor,
  shape: readonly number[] = weight.shape,
  part: (weight: Tensor) => Tensor = (all) => all,
): TensorEntry {
  const dtype: DType = weight.dtype;
  const data = () => noGrad(() => tidy(() => part(weight).to({ device: "cpu" }).toArray()));
  return { name, dtype, shape, data };
}

function asClsToken(name: string): string {
  return name === "obj_token" ? "cls_token" : name;
}

/** `ViTModel` keeps the embedding of hidden patches with an axis more. */
function hiddenShape(ours: string, family: Family, dim: number): readonly number[] | undefined {
  return ours === "masked_embed" && family === "vit" ? [1, 1, dim] : undefined;
}

function checkOneToken({ layout: { cls, objects } }: Backbone): void {
  if ((cls ? 1 : 0) + objects === 1) return;
  const tokens = [...(cls ? ["[CLS]"] : []), ...(objects > 0 ? [`${objects} [OBJ]`] : [])];
  throw new ConfigError(
    `export: the network has ${tokens.join(" and ")} before its patches; wanted one token, as theirs have. ` +
      `Patches attend to all of them, so leaving some out would change every feature. Give --format odis.`,
  );
}
