export {
  type DataSource,
  type DataSpec,
  type OpenSource,
  openSource,
  parseDataSpec,
  type Sample,
} from "./dataset.js";
export { decodeCutOut, type Decoded } from "./decode.js";
export { encodePng } from "./png.js";
export type { CocoSpec } from "./readers/coco.js";
