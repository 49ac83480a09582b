export {
  kindsRead,
  needsObjects,
  readsObjectsAlone,
  summaryKind,
  summaryPrototypes,
} from "./combinations.js";
export { type ExplainedValue, explainRecipe } from "./explain.js";
export {
  modelNames,
  type ModelSize,
  recipeLayers,
  type RecipeName,
  recipeNames,
  recipes,
} from "./methods.js";
export { type ScheduleValues, scheduleValuesAt, type Length, runLength } from "./schedules.js";
export { type Suited, suitedTo } from "./suited.js";
export { type Recipe, recipeSchema, resolveRecipe } from "./schema.js";
