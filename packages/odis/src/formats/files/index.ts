export { parseWeights, type WeightsSpec } from "./name.js";
export { openSafetensorsWeights, openWeights } from "./open.js";
export { plainPickle } from "./plain-pickle.js";
