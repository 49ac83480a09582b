export { chooseObject, chooseObjects } from "./choose.js";
export { type Box, boxesMeet, boxIou, boxRle, type SceneObject } from "./object.js";
export { visiblePatches, type VisibleRule } from "./patches.js";
export { parsePolygons, polygonRle } from "./polygon.js";
export {
  formatCounts,
  parseRle,
  type Rle,
  rleArea,
  rleBox,
  rleFromMask,
  rleObject,
} from "./rle.js";
