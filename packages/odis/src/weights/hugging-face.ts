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
  const name = translate(
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
  const name = translate(ours, pairs[family]);
  if (name === undefined) throw new Error(`internal: ${family} has no name for ${ours}`);
  return [name];
}

function translate(name: string, table: readonly Pair[]): string | undefined {
  const [, stem = name, leaf = ""] = /^(.*?)(\.weight|\.bias)?$/.exec(name) ?? [];
  const block = /\.(\d+)\./.exec(stem)?.[1] ?? "";
  const to = table.find(([from]) => from.replace("N", block) === stem)?.[1];
  return to && `${to.replace("N", block)}${leaf}`;
}
