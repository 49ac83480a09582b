export type { Evaluation, Measurement } from "./evaluate.js";
export type { Example, LabelledItem } from "./examples.js";
export { type Suite, suites, defaultK } from "./options.js";
export { imageCounts, type Outcome, type Outcomes, score } from "./outcome.js";
export {
  evaluateRun,
  evaluationFile,
  openParts,
  readEvaluation,
  readRunOutcomes,
  type RunEvaluation,
} from "./run.js";
export {
  type Difference,
  type Estimate,
  imageDraws,
  limits,
  pairedDifference,
  weightedSum,
} from "./statistics.js";
export { type Contender, contenders, type Level, levels } from "./subjects.js";
export { attributes } from "./suites/attributes.js";
export type { ChosenProbe } from "./suites/linear.js";
