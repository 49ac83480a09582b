import { coco, lvis, results } from "./coco.js";
import { maps, panoptic } from "./maps.js";
import { cvat, labelme, yolo } from "./shapes.js";
import { shards } from "./shards.js";
import { metadata, openImages } from "./tables.js";
import { voc } from "./voc.js";
import type { Writer } from "./writer.js";

export type { Writer, WriteOptions, WrittenImage } from "./writer.js";

/** All formats that data sets are written in. A new one is a file and its line here. */
export const writers: readonly Writer[] = [
  coco,
  panoptic,
  lvis,
  results,
  voc,
  yolo,
  openImages,
  labelme,
  cvat,
  maps,
  metadata,
  shards,
];
