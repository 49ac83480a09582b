export { type BootstrapOptions, bootstrapStages } from "./bootstrap.js";
export { cleanDefaults, type CleanSettings } from "./clean.js";
export { evaluateMasks, type FigureName, figures, type MaskQuality } from "./evaluate-masks.js";
export type { Corners, Finder, Found, Picture } from "./found.js";
export { makersHelp } from "./help.js";
export {
  type MadeMasks,
  makeMasks,
  type MakeMasksOptions,
  type MaskProgress,
} from "./make-masks.js";
export type { Maker, MakerOptions, MakerSpec, OpenMaker, Provenance } from "./maker.js";
export { type MaskFileInfo, readMaskInfo } from "./mask-file.js";
export { boxesIn, mergeMasks, type MergeOptions, type Merged } from "./merge.js";
export { adapters } from "./onnx/registry.js";
export { makers } from "./registry.js";
