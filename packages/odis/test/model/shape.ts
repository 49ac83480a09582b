/** What all networks of the published code that the golden data came from have in common. */
export const plainBlock = {
  mlpRatio: 4,
  ffn: "mlp",
  layerScale: 0,
  normEpsilon: 1e-6,
} as const;
export const plainBackbone = {
  ...plainBlock,
  objectEmbedding: "shared",
  objectPosition: "each",
} as const;

/** The sizes of a published network, as the golden data's JSON has them. */
export interface PublishedViT {
  readonly img_size: number;
  readonly patch_size: number;
  readonly embed_dim: number;
  readonly depth: number;
  readonly num_heads: number;
  readonly mlp_ratio: number;
  readonly layer_norm_eps: number;
}

/** Such a network in our words. */
export function shapeOf(config: PublishedViT) {
  return {
    ...plainBackbone,
    dim: config.embed_dim,
    depth: config.depth,
    heads: config.num_heads,
    mlpRatio: config.mlp_ratio,
    patch: config.patch_size,
    imageSize: config.img_size,
    normEpsilon: config.layer_norm_eps,
  };
}
