export { dataHelp, dataText, openSource, parseDataSpec } from "./dataset.js";
export { convert, type Converted, type ConvertOptions } from "./convert.js";
export { decodeCutOut, type Decoded } from "./decode.js";
export { pictureGroups } from "./picture.js";
export { encodePng } from "./png.js";
export type { CocoSpec } from "./readers/coco.js";
export type { CustomSample, CustomSource, ModuleSpec } from "./readers/module.js";
export { checkObjects, type ListedObject, type Survey, surveyObjects } from "./survey.js";
export type { DataSource, DataSpec, EpochOrder, OpenSource, Sample } from "./dataset.js";
