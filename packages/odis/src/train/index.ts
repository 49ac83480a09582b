export { type BatchStream, type MetricsRow, trainOn, trainSteps } from "./loop.js";
export {
  buildNetwork,
  copyWeights,
  createState,
  restoreState,
  stateNumbers,
  stateTensors,
  type TrainState,
} from "./state.js";
export { trainStep } from "./step.js";
export { upload } from "./upload.js";
export { CollapseWatch } from "./watch.js";
