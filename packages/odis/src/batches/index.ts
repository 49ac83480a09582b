export type { Batch, Pixels } from "./batch.js";
export { type LoadingOptions, openBatches } from "./loader.js";
export { checkBatch } from "./order.js";
