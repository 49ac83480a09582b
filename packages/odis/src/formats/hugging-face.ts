import { join } from "node:path";
import { ones, type TensorEntry } from "@odis/torch";
import { ConfigError, makeFolder, replaceText } from "../core/index.js";
import { type Backbone, imageNet, type Network } from "../model/index.js";
import { checkOneToken, elementsOf, tensorEntry, tokenNotes, writeWeights } from "./entries.js";
import type { ExportedNetwork, Renamed, WritableFormat } from "./format.js";
import { imageIn, numberIn, sizeIn, textIn } from "./leaves.js";
import { linear, translator } from "./naming.js";

/**
 * Folders of Hugging Face's: `Dinov2Model`, and `ViTModel` for networks with neither LayerScale nor
 * gated layers. [OBJ] becomes their `cls_token`.
 */
export const huggingFace: WritableFormat<"hf"> = {
  name: "hf",
  title: "Hugging Face's ViTModel and Dinov2Model",
  read: {
    rename: fromHuggingFace,
    folder: { weights: "model.safetensors", texts: { "config.json": "config" } },
    stated: (plain) => ({
      dim: sizeIn(plain, "config.hidden_size"),
      depth: sizeIn(plain, "config.num_hidden_layers"),
      heads: sizeIn(plain, "config.num_attention_heads"),
      patch: sizeIn(plain, "config.patch_size"),
      image: imageIn(plain, "config.image_size"),
      normEpsilon: numberIn(plain, "config.layer_norm_eps"),
      activation: textIn(plain, "config.hidden_act"),
    }),
  },
  write: {
    makes: "folder",
    write: writeFolder,
    notes: ({ network }) => [
      ...tokenNotes(network),
      ...(familyOf(network.backbone) === "vit"
        ? ["AutoModel adds a pooler of its own, untrained: read last_hidden_state"]
        : []),
      "heads are left out; --format odis keeps them",
    ],
  },
};

/** Our names and those of `ViTModel` and `Dinov2Model` in transformers; N is a block's number. */
type NamePair = readonly [ours: string, theirs: string];

const common: readonly NamePair[] = [
  ["cls_token", "embeddings.cls_token"],
  ["masked_embed", "embeddings.mask_token"],
  ["pos_embed", "embeddings.position_embeddings"],
  ["patch_embed.proj", "embeddings.patch_embeddings.projection"],
  ["blocks.N.attn.proj", "encoder.layer.N.attention.output.dense"],
  ["norm", "layernorm"],
];

type Family = "vit" | "dinov2";

const pairs: Readonly<Record<Family, readonly NamePair[]>> = {
  vit: [
    ...common,
    ["blocks.N.norm1", "encoder.layer.N.layernorm_before"],
    ["blocks.N.norm2", "encoder.layer.N.layernorm_after"],
    ["blocks.N.mlp.fc1", "encoder.layer.N.intermediate.dense"],
    ["blocks.N.mlp.fc2", "encoder.layer.N.output.dense"],
  ],
  dinov2: [
    ...common,
    ["blocks.N.norm1", "encoder.layer.N.norm1"],
    ["blocks.N.norm2", "encoder.layer.N.norm2"],
    ["blocks.N.ls1.gamma", "encoder.layer.N.layer_scale1.lambda1"],
    ["blocks.N.ls2.gamma", "encoder.layer.N.layer_scale2.lambda1"],
    ["blocks.N.mlp.fc1", "encoder.layer.N.mlp.fc1"],
    ["blocks.N.mlp.fc2", "encoder.layer.N.mlp.fc2"],
    ["blocks.N.mlp.w12", "encoder.layer.N.mlp.weights_in"],
    ["blocks.N.mlp.w3", "encoder.layer.N.mlp.weights_out"],
  ],
};

/** Query, key and value are one matrix here and three there, in this order. */
const thirds = ["query", "key", "value"] as const;

const theirsToOurs = [...pairs.vit, ...pairs.dinov2].map(
  ([ours, theirs]) => [theirs, ours] as const,
);

/** What the models of transformers 5 call their weights in memory; its own files keep the older names. */
const inMemory = translator([
  [`(?:encoder.layer|layers).(\\d+).attention.o_proj.${linear}`, "blocks.$1.attn.proj.$2"],
  [`layers.(\\d+).layernorm_before.${linear}`, "blocks.$1.norm1.$2"],
  [`layers.(\\d+).layernorm_after.${linear}`, "blocks.$1.norm2.$2"],
  [`layers.(\\d+).mlp.(fc1|fc2).${linear}`, "blocks.$1.mlp.$2.$3"],
  [`(?:encoder.layer|layers).(\\d+).mlp.down_proj.${linear}`, "blocks.$1.mlp.w3.$2"],
]);

/** Names of parts: what they are part of, and which, in the order of our rows. */
const partNames: readonly {
  readonly pattern: RegExp;
  readonly ours: string;
  readonly order: readonly string[];
}[] = [
  {
    pattern: /^encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(weight|bias)$/,
    ours: "attn.qkv",
    order: thirds,
  },
  {
    pattern: /^(?:encoder\.layer|layers)\.(\d+)\.attention\.(q|k|v)_proj\.(weight|bias)$/,
    ours: "attn.qkv",
    order: ["q", "k", "v"],
  },
  {
    pattern: /^(?:encoder\.layer|layers)\.(\d+)\.mlp\.(gate|up)_proj\.(weight|bias)$/,
    ours: "mlp.w12",
    order: ["gate", "up"],
  },
];

/** A name of theirs in ours. */
function fromHuggingFace(theirs: string): Renamed | undefined {
  for (const { pattern, ours, order } of partNames) {
    const [, block, part, leaf] = pattern.exec(theirs) ?? [];
    if (part === undefined) continue;
    return {
      kind: "backbone",
      name: `blocks.${block}.${ours}.${leaf}`,
      part: { at: order.indexOf(part), of: order.length },
    };
  }
  const name = respell(theirs, theirsToOurs) ?? inMemory(theirs);
  return name === undefined ? undefined : { kind: "backbone", name };
}

/** Our name in theirs; three of them, in order, for what is one matrix here. */
function toHuggingFace(ours: string, family: Family): readonly string[] {
  const joined = /^blocks\.(\d+)\.attn\.qkv\.(weight|bias)$/.exec(ours);
  if (joined)
    return thirds.map(
      (part) => `encoder.layer.${joined[1]}.attention.attention.${part}.${joined[2]}`,
    );
  const name = respell(ours === "obj_token" ? "cls_token" : ours, pairs[family]);
  if (name === undefined) throw new Error(`internal: ${family} has no name for ${ours}`);
  return [name];
}

function respell(name: string, table: readonly NamePair[]): string | undefined {
  const [, stem = name, leaf = ""] = /^(.*?)(\.weight|\.bias)?$/.exec(name) ?? [];
  const block = /\.(\d+)\./.exec(stem)?.[1] ?? "";
  const to = table.find(([from]) => from.replace("N", block) === stem)?.[1];
  return to && `${to.replace("N", block)}${leaf}`;
}

/** Which model of transformers has all parts of a network. */
function familyOf({ config: { layerScale, ffn } }: Backbone): Family {
  return layerScale > 0 || ffn === "swiglu" ? "dinov2" : "vit";
}

async function writeFolder(out: string, exported: ExportedNetwork): Promise<readonly string[]> {
  const { network } = exported;
  checkOneToken(network.backbone);
  checkRatio(network.backbone);
  makeFolder(out);
  const weights = join(out, "model.safetensors");
  writeWeights(weights, entriesOf(exported), exported);
  return [weights, ...writeTexts(out, exported)];
}

/** Writes what stands beside the weights: what network they are, and what it wants to see. */
export function writeTexts(
  out: string,
  { network, recipe, precision }: ExportedNetwork,
): readonly string[] {
  const texts = {
    "config.json": configOf(network, precision),
    "preprocessor_config.json": processorOf(recipe.views.globals.size),
  };
  for (const [name, value] of Object.entries(texts))
    replaceText(join(out, name), pythonJson(value));
  return Object.keys(texts).map((name) => join(out, name));
}

/** `Dinov2Config` has whole ratios only; transformers 5 refuses others. */
function checkRatio(backbone: Backbone): void {
  const { mlpRatio } = backbone.config;
  if (familyOf(backbone) === "vit" || Number.isInteger(mlpRatio)) return;
  throw new ConfigError(
    `export: the network's model.mlpRatio is ${mlpRatio}; wanted a whole number, as Hugging Face's Dinov2 ` +
      `has (a network with LayerScale or gated layers is one). Give --format timm or odis.`,
  );
}

function entriesOf({ network, precision }: ExportedNetwork): readonly TensorEntry[] {
  const { backbone } = network;
  const { config } = backbone;
  const family = familyOf(backbone);
  const entries = backbone.namedParameters().flatMap(([ours, weight]) => {
    const names = toHuggingFace(ours, family);
    const [rows = 0] = weight.shape;
    if (names.length === 1)
      return tensorEntry(names[0]!, weight, precision, hiddenShape(ours, family, config.dim));
    const shape = [rows / names.length, ...weight.shape.slice(1)];
    return names.map((name, third) =>
      tensorEntry(name, weight, precision, shape, (all) =>
        all.narrow(0, third * shape[0]!, shape[0]!),
      ),
    );
  });
  if (family === "vit" || config.layerScale > 0) return entries;
  // Theirs has LayerScale in any case.
  const scales = Array.from({ length: config.depth }, (_, block) =>
    ["ls1", "ls2"].map((name) => `blocks.${block}.${name}.gamma`),
  );
  return [
    ...entries,
    ...scales.flat().map((ours) => {
      const [name] = toHuggingFace(ours, family);
      const data = () => elementsOf(name!, () => ones([config.dim]), precision);
      return { name: name!, dtype: precision, shape: [config.dim], data };
    }),
  ];
}

/** `ViTModel` keeps the embedding of hidden patches with an axis more. */
function hiddenShape(ours: string, family: Family, dim: number): readonly number[] | undefined {
  return ours === "masked_embed" && family === "vit" ? [1, 1, dim] : undefined;
}

/** Their `config.json`. */
function configOf({ backbone }: Network, precision: string): Readonly<Record<string, unknown>> {
  const { dim, depth, heads, mlpRatio, ffn, patch, imageSize, normEpsilon } = backbone.config;
  const common = {
    hidden_size: dim,
    num_hidden_layers: depth,
    num_attention_heads: heads,
    image_size: imageSize,
    patch_size: patch,
    num_channels: 3,
    qkv_bias: true,
    hidden_act: "gelu",
    layer_norm_eps: new Float(normEpsilon),
    hidden_dropout_prob: new Float(0),
    attention_probs_dropout_prob: new Float(0),
    dtype: precision,
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
        layerscale_value: new Float(1),
        drop_path_rate: new Float(0),
        ...common,
      };
}

/** Their `preprocessor_config.json`: what the network was trained to see. */
function processorOf(size: number): Readonly<Record<string, unknown>> {
  return {
    image_processor_type: "ViTImageProcessor",
    do_resize: true,
    size: { height: size, width: size },
    resample: 3, // bicubic
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: imageNet.mean,
    image_std: imageNet.std,
  };
}

/**
 * A number that Python shall read as a float: `1.0`, which JSON of JavaScript writes as `1`. Strict
 * readers (transformers 5) refuse an integer in its place.
 */
class Float {
  constructor(readonly value: number) {}
}

/** JSON of two levels at most, a name a line; finite numbers only. */
function pythonJson(values: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(values).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${text(value)}`,
  );
  return `{\n${lines.join(",\n")}\n}\n`;
}

function text(value: unknown): string {
  if (!(value instanceof Float)) return JSON.stringify(value);
  const shortest = String(value.value);
  return /^-?\d+$/.test(shortest) ? `${shortest}.0` : shortest;
}
