export {
  checkViewSizes,
  type MaskConfig,
  maskConfig,
  type ViewConfig,
  viewConfig,
} from "./config.js";
export { degradeObjects } from "./degrade.js";
export { type GlobalSlot, makeViews, newViewSlots, type ViewReport, type Pixels } from "./views.js";
export { drawCrops } from "./object-crop.js";
