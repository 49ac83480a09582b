export { collect, type Collected } from "./collect.js";
export { recipeFor, optionsFor, settingsFor } from "./fit.js";
export { type Geometry, geometryOf } from "./geometry.js";
export type { Side } from "./names.js";
export { openWeights, parseWeights, type PlainValue, type WeightFile } from "./open.js";
export {
  describeOutcome,
  type ImportPlan,
  importWeights,
  type Outcome,
  planImport,
} from "./plan.js";
export {
  familyOf,
  huggingFaceConfig,
  huggingFaceEntries,
  odisEntries,
  timmEntries,
} from "./write.js";
export { headSettings } from "./heads.js";
