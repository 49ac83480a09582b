export { bytesText, checkMemory, memoryOfDevice } from "./memory.js";
export { type MetricsRow, trainOn, trainSteps } from "./loop.js";
export {
  buildNetwork,
  copyWeights,
  createState,
  restoreState,
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
export { CollapseWatch } from "./watch.js";
