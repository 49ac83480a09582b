export { drawViews } from "./draw.js";
export type { ViewsOfSize } from "./resample.js";
