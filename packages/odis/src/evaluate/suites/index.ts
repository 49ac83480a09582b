export { attributes } from "./attributes.js";
export { centroid } from "./centroid.js";
export { dense } from "./dense.js";
export { fewShot } from "./few-shot.js";
export { knn } from "./knn.js";
export { linear } from "./linear.js";
export { retrieval } from "./retrieval.js";
export { transfer } from "./transfer.js";
