export { sha256 } from "./checkpoint.js";
export { type ExportOptions, exportRun } from "./export.js";
export {
  configDifferences,
  describeDifferences,
  differences,
  readRunConfig,
  runLayout,
} from "./folder.js";
export { dataOf, type LoadedNetwork, loadTeacher, recipeOf, weightsOf } from "./load.js";
export { runStands } from "./among.js";
export { failBeforeMeeting } from "./meeting.js";
export { type Membership, membershipOf } from "./place.js";
export type { ChildReport } from "./child.js";
export { companion, runProcesses } from "./processes.js";
export { pretrain, type PretrainOptions, type PretrainResult } from "./pretrain.js";
export { duration, type ProgressStream } from "./progress.js";
export { importRun, type Inspection, inspectWeights } from "./start.js";
export { sharedPatience, shareWork } from "./share.js";
export { shippedCurve, shippedFile, shippedNames, type TrainingCurve } from "./shipped.js";
export { Stop } from "./stop.js";
export { trialSpeed } from "./trial.js";
