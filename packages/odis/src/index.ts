export { type ConfigLayer, loadConfigFile, settingsLayer } from "./config.js";
export type { Batch } from "./data/batch.js";
export { makeScenes } from "./data/scenes/make.js";
export type { SceneOptions } from "./data/scenes/options.js";
export {
  type DataSource,
  type DataSpec,
  openSource,
  parseDataSpec,
  type Sample,
} from "./data/source.js";
export {
  BadImageError,
  ConfigError,
  DataError,
  exitCodes,
  NonFiniteLossError,
  OdisError,
  RunError,
  WeightsError,
} from "./errors.js";
export { type Evaluation, type Measurement } from "./evaluate/evaluate.js";
export { type Difference, type Estimate, pairedDifference } from "./evaluate/interval.js";
export type { Outcome } from "./evaluate/outcome.js";
export { writeReport } from "./evaluate/report.js";
export { evaluateRun, readEvaluation, readRunOutcomes } from "./evaluate/run.js";
export { load, type LoadOptions, type Teacher } from "./evaluate/teacher.js";
export { exportRun, type ExportFormat, type ExportOptions } from "./export/export-run.js";
export type { Box, SceneObject } from "./objects/object.js";
export { importRun, type Inspection, inspectWeights } from "./run/import-run.js";
export { pretrain, type PretrainOptions, type PretrainResult } from "./run/pretrain.js";
export { Stop } from "./run/stop.js";
export { type Recipe, resolveRecipe } from "./train/recipe.js";
export { type ExplainedValue, explainRecipe } from "./train/explain.js";
export {
  type ModelSize,
  modelNames,
  recipeLayers,
  type RecipeName,
  recipeNames,
} from "./train/recipes.js";
