export { AdamW, type AdamWOptions, type Moments, type ParameterGroup } from "./adamw.js";
export { clipGradients, follow_ } from "./update.js";
