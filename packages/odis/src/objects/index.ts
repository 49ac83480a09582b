export { chooseObject, chooseObjects, weightsBy } from "./choose.js";
export {
  type Frame,
  type LabelMapOptions,
  type ObjectFacts,
  objectFromBox,
  objectFromPixels,
  objectFromPolygons,
  objectFromRle,
  drawFrom,
  objectFromRuns,
  objectsFromLabelMap,
  runsOfObject,
  runsOfValues,
} from "./mask.js";
export {
  type Box,
  boxesMeet,
  boxIou,
  boxRle,
  type DrawMask,
  type SceneObject,
} from "./object.js";
export { FARTHEST, parsePolygons, polygonRle } from "./polygon.js";
export {
  checkedRle,
  formatCounts,
  parseRle,
  type Rle,
  rleArea,
  rleBox,
  rleFromMask,
  rleIou,
  rleShared,
  rleToMask,
} from "./rle.js";
