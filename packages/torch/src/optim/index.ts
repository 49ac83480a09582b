export { AdamW, type AdamWOptions, type Moments, type ParameterGroup } from "./adamw.js";
export { clipGradients, emaUpdate_ } from "./update.js";
