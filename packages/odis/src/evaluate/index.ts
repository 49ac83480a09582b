export type { Evaluation, Measurement } from "./evaluate.js";
export type { Example, LabelledItem } from "./examples.js";
export { type Neighbours, NeighbourSearch, unitRows } from "./neighbours.js";
export type { OtherData } from "./reading.js";
export { optionSettings, type OptionType, type OptionValue } from "./options.js";
export { imageCounts, type Outcome, type Outcomes, score } from "./outcome.js";
export { evaluateOutlook, type Outlook, readOutlook } from "./outlook.js";
export type { ChosenProbe } from "./probe.js";
export { type RepresentationName, representationNames } from "./representations.js";
export {
  evaluateRun,
  evaluateRunTogether,
  type EvaluateRunOptions,
  evaluationFile,
  readEvaluation,
  readRunOutcomes,
} from "./run.js";
export type { RunEvaluation } from "./saved.js";
export {
  defaultValue,
  describeEvaluation,
  type EvaluationSettings,
  evaluationOptions,
  type Headline,
  headlineOf,
  mainDataUse,
  optionsFor,
  optionWords,
  unreadOptions,
} from "./settings.js";
export { openSplits } from "./splits.js";
export {
  type Difference,
  type Estimate,
  imageDraws,
  limits,
  pairedDifference,
  weightedSum,
} from "./statistics.js";
export type { DetailTable, Figure, FigureTable } from "./suite.js";
