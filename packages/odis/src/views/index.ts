export {
  checkViewSizes,
  type MaskConfig,
  maskConfig,
  type ViewConfig,
  viewConfig,
} from "./config.js";
export { drawEachJitter } from "./color.js";
export { drawCropBox } from "./crop-box.js";
export { degradeObjects } from "./degrade.js";
export {
  type GlobalSlot,
  makeViews,
  newViewSlots,
  type Pixels,
  planViews,
  type ViewReport,
} from "./views.js";
export {
  type CarriedPicture,
  carriedPicture,
  carriedPlan,
  carryPicture,
  carryPlan,
  FRAME_NUMBERS,
  PLAN_NUMBERS,
  roomForPicture,
  type UndrawnViews,
  type ViewPlan,
} from "./plan.js";
export { drawCrops } from "./object-crop.js";
