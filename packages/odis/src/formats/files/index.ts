export { parseWeights, type WeightsSpec } from "./name.js";
export { openSafetensorsWeights, openWeights } from "./open.js";
