export { type Batch, imagesOf } from "./batch.js";
export { type Loader, type LoadingOptions, openBatches, openViewLoader } from "./loader.js";
export { checkBatch } from "./order.js";
