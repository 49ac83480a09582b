export { type Batch, type BatchStats, imagesOf } from "./batch.js";
export {
  badLimit,
  checkBad,
  type Loader,
  type LoadingOptions,
  openBatches,
  openViewLoader,
} from "./loader.js";
export { checkBatch, Order, type Rank } from "./order.js";
