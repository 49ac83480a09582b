export { knn } from "./knn.js";
export { linear } from "./linear.js";
export { dense } from "./dense.js";
export { attributes } from "./attributes.js";
