export { Center, koleo, sinkhorn } from "./centering.js";
export {
  crossViewLoss,
  existingPairs,
  type HiddenRows,
  hiddenRows,
  pairWeights,
  rowLoss,
} from "./cross-view.js";
