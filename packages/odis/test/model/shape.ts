/** What all networks of the published code that the golden data came from have in common. */
export const plainBlock = {
  mlpRatio: 4,
  ffn: "mlp",
  layerScale: 0,
  normEpsilon: 1e-6,
  dropRule: "sample",
} as const;
export const plainBackbone = {
  ...plainBlock,
  dropPath: 0,
  dropPathDepth: "linear",
  objectEmbedding: "shared",
  objectPosition: "each",
} as const;
