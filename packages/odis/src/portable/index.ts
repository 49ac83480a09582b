export { folderFiles } from "./folder.js";
export {
  type Box,
  boxMask,
  type Frame,
  frameBox,
  frames,
  patchAt,
  type PatchGrid,
} from "./geometry.js";
export { grownMask, OutsidePicture, patchValues, rowOf } from "./grow.js";
export { networkInput, patchesOf } from "./look.js";
export { type Found, Nearest } from "./nearest.js";
export { outline, outlineOf } from "./outline.js";
export {
  packedBits,
  patchCounts,
  perMille,
  unpackedBits,
  visiblePatches,
  type VisibleRule,
} from "./patches.js";
export { type Bytes, type Filter, resizePillow } from "./pillow.js";
export { resampleBicubic, resampleNearest } from "./resample.js";
export type {
  AttentionMaps,
  ImageFacts,
  LibraryFile,
  NearList,
  NearObject,
  NetworkFacts,
  ObjectFacts,
  ObjectList,
  ObjectMap,
  OutlinedObject,
  OwnPhoto,
  PatchMaps,
  PatchValues,
  Problem,
  StoreFacts,
} from "./wire.js";
export { folderVersion, MAP_HALF } from "./wire.js";
