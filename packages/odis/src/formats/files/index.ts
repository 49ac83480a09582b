export { parseWeights, type WeightsSpec } from "./name.js";
export { openWeights } from "./open.js";
