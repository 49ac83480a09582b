export { loadPlan } from "./plans.js";
export { changePlan } from "./plan.js";
export { compareRecipes } from "./compare.js";
export { formatComparison } from "./tables.js";
export { runChild } from "./execute.js";
