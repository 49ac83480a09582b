export { type ConfigLayer, loadConfigFile, settingsLayer } from "./core/index.js";
export type { Batch } from "./batches/index.js";
export { makeScenes } from "./scenes/index.js";
export type { SceneOptions } from "./scenes/index.js";
export {
  type DataSource,
  type DataSpec,
  openSource,
  parseDataSpec,
  type Sample,
} from "./data/index.js";
export {
  BadImageError,
  ConfigError,
  DataError,
  exitCodes,
  NonFiniteLossError,
  OdisError,
  RunError,
  WeightsError,
} from "./core/index.js";
export type { Evaluation, Measurement } from "./evaluate/index.js";
export { type Difference, type Estimate, pairedDifference } from "./evaluate/index.js";
export type { Outcome } from "./evaluate/index.js";
export { writeReport } from "./report/index.js";
export { evaluateRun, readEvaluation, readRunOutcomes } from "./evaluate/index.js";
export { type FeatureQuery, load, type LoadOptions, type Teacher } from "./features/index.js";
export type { ExportFormat, ImportReport } from "./formats/index.js";
export { exportRun, type ExportOptions } from "./run/index.js";
export {
  type Box,
  type Frame,
  type LabelMapOptions,
  type ObjectFacts,
  objectFromBox,
  objectFromPixels,
  objectFromPolygons,
  objectFromRle,
  objectsFromLabelMap,
  type SceneObject,
} from "./objects/index.js";
export { importRun, type Inspection, inspectWeights } from "./run/index.js";
export { pretrain, type PretrainOptions, type PretrainResult } from "./run/index.js";
export { Stop } from "./run/index.js";
export { type Recipe, resolveRecipe } from "./recipe/index.js";
export { type ExplainedValue, explainRecipe } from "./recipe/index.js";
export {
  type ModelSize,
  modelNames,
  recipeLayers,
  type RecipeName,
  recipeNames,
} from "./recipe/index.js";
export {
  type Cluster,
  type Clusters,
  type Doubt,
  type DuplicateGroup,
  type Duplicates,
  type Insight,
  insightInto,
  type InsightOptions,
  type Outlier,
} from "./insight/index.js";
export {
  createStore,
  type Embedded,
  type EmbedProgress,
  type Hit,
  type ObjectHit,
  type ItemKind,
  openStore,
  type PictureQuery,
  type SearchOptions,
  type Store,
  type StoredImage,
  type StoredObject,
} from "./search/index.js";
