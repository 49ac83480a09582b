export { readAhead } from "./ahead.js";
export {
  absoluteSpec,
  dataHelp,
  dataText,
  toldNow,
  isBare,
  openSource,
  parseDataSpec,
  withWholes,
} from "./dataset.js";
export { convert, type Converted, type ConvertOptions } from "./convert.js";
export { inspect, type Inspection, type InspectOptions, type Spread } from "./inspect.js";
export { type Writer, writers } from "./writers/index.js";
export { decodeCutOut, type Decoded, scaledTo } from "./decode.js";
export { ContactSheet } from "./sheet.js";
export { type MaskSet, masksOf, NAMELESS, openMasks } from "./overlay.js";
export { decodePhoto, readMask, readPhoto } from "./photo.js";
export { unpicked } from "./pick.js";
export { pictureGroups } from "./picture.js";
export { encodePng } from "./png.js";
export type { CocoSpec } from "./readers/coco.js";
export type { CustomSample, CustomSource, ModuleSpec } from "./readers/module.js";
export {
  checkObjects,
  type ListedObject,
  objectAdvice,
  type Survey,
  surveyObjects,
} from "./survey.js";
export type {
  DataSource,
  DataSpec,
  EpochOrder,
  OpenSource,
  ReadMemory,
  Sample,
} from "./dataset.js";
