export { bytesText, checkMemory, memoryOfDevice } from "./memory.js";
export { type SavedState, savedState, spreadState } from "./saved.js";
export { World } from "./world.js";
export { type BatchStream, type MetricsRow, type StepResult, trainOn, trainSteps } from "./loop.js";
export {
  buildNetwork,
  checkSharing,
  copyWeights,
  createState,
  type ForOthers,
  restoreState,
  shares,
  stateNumbers,
  stateTensors,
  type TrainState,
} from "./state.js";
export {
  type CostOptions,
  type RowsRead,
  type StepCost,
  stepCost,
  stepFlops,
  type StepMemory,
} from "./cost.js";
export { trainStep } from "./step.js";
export { upload } from "./upload.js";
export { AbsenceWatch } from "./absence.js";
export { CollapseWatch } from "./watch.js";
