export { parseWeights, type WeightsSpec } from "./name.js";
export { openWeights } from "./open.js";
export type { PlainValue, WeightFile } from "./weight-file.js";
