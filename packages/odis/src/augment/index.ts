export { drawViews } from "./draw.js";
