export { type MetricsRow, trainSteps } from "./loop.js";
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
export { CollapseWatch } from "./watch.js";
