import type { PackedIndex } from "./packed-index.js";
import type { DataSource, DataSpec, OpenSource } from "./dataset.js";
import type { Look } from "./look.js";
import { cifar } from "./readers/cifar.js";
import { coco } from "./readers/coco.js";
import { results } from "./readers/coco-results.js";
import { cvat } from "./readers/cvat.js";
import { classes, folder } from "./readers/folder.js";
import { imagenet } from "./readers/imagenet.js";
import { imagenetS, maps } from "./readers/label-maps.js";
import { labelme } from "./readers/labelme.js";
import { lvis } from "./readers/lvis.js";
import { metadata } from "./readers/metadata.js";
import { mix } from "./readers/mix.js";
import { module } from "./readers/module.js";
import { openImages } from "./readers/open-images.js";
import { panoptic } from "./readers/panoptic.js";
import { voc } from "./readers/voc.js";
import { webdataset } from "./readers/webdataset.js";
import { yolo } from "./readers/yolo.js";

/**
 * One kind of data set. It is found by {@link Reader.detect}, named on the command line as
 * `KIND:PLACE`, saved with a run as a {@link DataSpec}, and fills the one packed index that
 * everything else works with.
 */
export interface Reader {
  /** before the colon, and in saved configurations */
  readonly kind: string;
  /** what may stand after the colon, for help */
  readonly places: string;
  /** one clause, for help: "a folder with images/ and instances.json" */
  readonly about: string;
  /** speaks for pictures only: other kinds at the same place win */
  readonly isFallback?: true;
  /** settings of its own that may follow the place: names of `settings.ts` */
  readonly settings?: readonly string[];
  /** What speaks for this kind at a place that nobody has named the kind of; several where it has several sets. */
  detect(look: Look): Detected | readonly Detected[] | undefined;
  /**
   * @param parse reads the places of other data sets, for those that consist of some
   * @throws ConfigError when it cannot be a place of this kind
   */
  parse(place: string, parse: (text: string) => DataSpec): DataSpec;
  /** The inverse of `parse`. */
  place(spec: DataSpec, textOf: (spec: DataSpec) => string): string;
  /** The same data set, found from any working folder. */
  absolute(spec: DataSpec, absolute: (spec: DataSpec) => DataSpec): DataSpec;
  /**
   * @param open opens other data sets, for those that consist of some
   * @throws DataError saying what is wrong with the data set
   */
  open(
    spec: DataSpec,
    open: (spec: DataSpec) => Promise<OpenSource>,
  ): Promise<PackedIndex | DataSource>;
}

export interface Detected {
  /** after the colon */
  readonly place: string;
  /** what was seen: "instances.json beside images/" */
  readonly because: string;
}

/** All kinds, in the order of help. A new one is a file and its line here. */
export const readers: readonly Reader[] = [
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
  imagenet,
  imagenetS,
  metadata,
  webdataset,
  folder,
  classes,
  cifar,
  mix,
  module,
];
