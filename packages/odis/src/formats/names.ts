/**
 * What the tensors of other programs are called: DINO, iBOT and DINOv2 (full checkpoints and
 * released backbones), timm (old and new), Hugging Face's `ViTModel` and `Dinov2Model`, and odis.
 */

export type Side = "student" | "teacher";

/** What a tensor's name says of it. `name` is the one that odis gives it. */
export type Meaning = {
  readonly side: Side | undefined;
} & (
  | {
      readonly kind: "backbone";
      readonly name: string;
      /** which third of the rows, where query, key and value are kept apart */
      readonly third?: 0 | 1 | 2;
    }
  | { readonly kind: "head"; readonly name: string }
  /** changes a network's features in a way that ours has no part for */
  | { readonly kind: "foreign"; readonly what: string }
  /** no part of a backbone or a projection head */
  | { readonly kind: "other"; readonly reason: string }
);

/** Wrappers of distributed training and compilation; they may stand anywhere. */
const wrappers = new Set([
  "module",
  "_orig_mod",
  "_fsdp_wrapped_module",
  "_checkpoint_wrapped_module",
]);
/** Dicts and models that a backbone or a head may lie in. */
const containers = new Set(["model", "state_dict", "backbone", "vit", "dinov2"]);

const linear = "(weight|bias)";

/** Names of a backbone -> ours. `$N` are the pattern's groups. */
const backboneNames: readonly (readonly [pattern: string, ours: string])[] = [
  ["(cls_token|obj_token|pos_embed|masked_embed)", "$1"],
  ["mask_token", "masked_embed"],
  [`patch_embed.proj.${linear}`, "patch_embed.proj.$1"],
  [`norm.${linear}`, "norm.$1"],
  // DINOv2's trainer cuts the blocks into chunks and numbers them through: blocks.CHUNK.BLOCK.
  ["blocks.(?:\\d+.)?(\\d+).(ls[12]).gamma", "blocks.$1.$2.gamma"],
  ["blocks.(?:\\d+.)?(\\d+).gamma_([12])", "blocks.$1.ls$2.gamma"],
  [
    `blocks.(?:\\d+.)?(\\d+).(norm1|norm2|attn.qkv|attn.proj|mlp.fc1|mlp.fc2|mlp.w12|mlp.w3).${linear}`,
    "blocks.$1.$2.$3",
  ],
];

/** Names of heads -> ours; `last_layer2` is iBOT's for patches. */
const headNames: readonly (readonly [pattern: string, ours: string])[] = [
  ["dino_head.(.+)", "head.$1"],
  ["ibot_head.(.+)", "head_patch.$1"],
  ["head.last_layer2.(.+)", "head.last_layer_patch.$1"],
  ["(head|head_obj|head_patch).(mlp\\..+|last_layer.*)", "$1.$2"],
];
/** Newer PyTorch's spelling of a weight-normed layer. */
const weightNorm = [
  [/\.parametrizations\.weight\.original0$/, ".weight_g"],
  [/\.parametrizations\.weight\.original1$/, ".weight_v"],
] as const;

const foreign: readonly (readonly [pattern: string, what: string])[] = [
  ["(embeddings.)?(reg_token|register_tokens|storage_tokens)", "register tokens"],
  ["(embeddings.)?(dist_token|distillation_token)", "a distillation token"],
  ["(rope_embed|embeddings.rope).*", "rotary position embeddings"],
  ["(blocks|encoder.layer|layers|norm_pre|patch_embed|embeddings).*", "a part of another network"],
];

const others: readonly (readonly [pattern: string, reason: string])[] = [
  ["(optimizer|scaler|fp16_scaler|grad_scaler).*", "the old run's optimiser"],
  ["(.*_loss|loss|centers).*", "the old run's loss"],
  ["(head|classifier|fc|fc_norm|pooler|pre_logits|cls_classifier).*", "a classifier's"],
];

const [compiledBackbone, compiledHeads, compiledForeign, compiledOthers] = [
  backboneNames,
  headNames,
  foreign,
  others,
].map((table) => table.map(([pattern, text]) => [compile(pattern), text] as const));

/** What a tensor's full name in a file means. */
export function meaningOf(full: string): Meaning {
  const words = full.split(".").filter((word) => !wrappers.has(word));
  let side: Side | undefined;
  while (words.length > 1 && (isSide(words[0]!) || containers.has(words[0]!))) {
    if (isSide(words[0]!)) side = words[0];
    words.shift();
  }
  const name = words.join(".");
  const theirs = fromHuggingFace(name);
  if (theirs) return { side, kind: "backbone", ...theirs };
  const backbone = translate(compiledBackbone!, name);
  if (backbone !== undefined) return { side, kind: "backbone", name: backbone };
  const head = translate(compiledHeads!, name);
  if (head !== undefined) return { side, kind: "head", name: plainWeightNorm(head) };
  const what = compiledForeign!.find(([pattern]) => pattern.test(name))?.[1];
  if (what !== undefined) return { side, kind: "foreign", what };
  const reason = compiledOthers!.find(([pattern]) => pattern.test(name))?.[1];
  return { side, kind: "other", reason: reason ?? "nothing that odis has a place for" };
}

function isSide(word: string): word is Side {
  return word === "student" || word === "teacher";
}

/** Dots stand for themselves, except after `.` in `.*`, `.+` and escapes. */
function compile(pattern: string): RegExp {
  return new RegExp(`^(?:${pattern.replace(/(?<!\\)\.(?![*+])/g, "\\.")})$`);
}

function translate(
  table: readonly (readonly [RegExp, string])[],
  name: string,
): string | undefined {
  const found = table.find(([pattern]) => pattern.test(name));
  return found && name.replace(found[0], found[1]);
}

function plainWeightNorm(name: string): string {
  return weightNorm.reduce((text, [pattern, ours]) => text.replace(pattern, ours), name);
}

/** Our names and those of `ViTModel` and `Dinov2Model` in transformers; N is a block's number. */
type Pair = readonly [ours: string, theirs: string];

const common: readonly Pair[] = [
  ["cls_token", "embeddings.cls_token"],
  ["masked_embed", "embeddings.mask_token"],
  ["pos_embed", "embeddings.position_embeddings"],
  ["patch_embed.proj", "embeddings.patch_embeddings.projection"],
  ["blocks.N.attn.proj", "encoder.layer.N.attention.output.dense"],
  ["norm", "layernorm"],
];

export type Family = "vit" | "dinov2";

const pairs: Readonly<Record<Family, readonly Pair[]>> = {
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
export const thirds = ["query", "key", "value"] as const;
const apart = /^encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(weight|bias)$/;

/** A name of theirs in ours; `third` says which part of the rows it is. */
export function fromHuggingFace(
  theirs: string,
): { readonly name: string; readonly third?: 0 | 1 | 2 } | undefined {
  const separate = apart.exec(theirs);
  if (separate) {
    const [, block, part, leaf] = separate;
    const third = thirds.findIndex((each) => each === part) as 0 | 1 | 2;
    return { name: `blocks.${block}.attn.qkv.${leaf}`, third };
  }
  const name = respell(
    theirs,
    [...pairs.vit, ...pairs.dinov2].map(([to, from]) => [from, to]),
  );
  return name === undefined ? undefined : { name };
}

/** Our name in theirs; three of them, in order, for what is one matrix here. */
export function toHuggingFace(ours: string, family: Family): readonly string[] {
  const joined = /^blocks\.(\d+)\.attn\.qkv\.(weight|bias)$/.exec(ours);
  if (joined)
    return thirds.map(
      (part) => `encoder.layer.${joined[1]}.attention.attention.${part}.${joined[2]}`,
    );
  const name = respell(ours, pairs[family]);
  if (name === undefined) throw new Error(`internal: ${family} has no name for ${ours}`);
  return [name];
}

function respell(name: string, table: readonly Pair[]): string | undefined {
  const [, stem = name, leaf = ""] = /^(.*?)(\.weight|\.bias)?$/.exec(name) ?? [];
  const block = /\.(\d+)\./.exec(stem)?.[1] ?? "";
  const to = table.find(([from]) => from.replace("N", block) === stem)?.[1];
  return to && `${to.replace("N", block)}${leaf}`;
}
