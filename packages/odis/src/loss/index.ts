export { Center, koleo, sinkhorn } from "./centering.js";
export { crossViewLoss, type HiddenRows, hiddenRows, pairWeights, rowLoss } from "./cross-view.js";
