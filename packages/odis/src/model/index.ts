export { flatRows, rowIndex } from "./attention.js";
export {
  Backbone,
  type BackboneConfig,
  type BackboneOptions,
  resizePositions,
} from "./backbone.js";
export { Block, SwiGlu } from "./block.js";
export { type BlockDrops, dropRates, keptImages, type Kept } from "./drop-path.js";
export { ActivationCheckpointing } from "./checkpointing.js";
export type { TokenKind } from "./head.js";
export { imageNet, Network, normalise, type PerKind, standardise } from "./network.js";
export { type PackedObjects, type Packing, packObjects } from "./packing.js";
export { type ObjectAttention, TokenLayout } from "./tokens.js";
