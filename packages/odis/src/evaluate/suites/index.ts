export { attributes } from "./attributes.js";
export { centroid } from "./centroid.js";
export { dense } from "./dense.js";
export { knn } from "./knn.js";
export { linear } from "./linear.js";
