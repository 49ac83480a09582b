export { dataHelp, dataText, openSource, parseDataSpec } from "./dataset.js";
export { decodeCutOut, type Decoded } from "./decode.js";
export { type MaskSet, masksOf, openMasks } from "./overlay.js";
export { pictureGroups } from "./picture.js";
export { encodePng } from "./png.js";
export type { CocoSpec } from "./readers/coco.js";
export type { CustomSample, CustomSource, ModuleSpec } from "./readers/module.js";
export { checkObjects, type ListedObject, type Survey, surveyObjects } from "./survey.js";
export type { DataSource, DataSpec, EpochOrder, OpenSource, Sample } from "./dataset.js";
