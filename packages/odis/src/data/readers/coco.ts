import { statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import type { PackedIndex } from "../packed-index.js";
import { Place } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { type CocoFormat, readCoco } from "./coco-json.js";
import { twoPlaces } from "./places.js";

/** A folder of pictures and a file in COCO's instances format. */
export interface CocoSpec extends DataSpec {
  readonly kind: "coco";
  readonly images: string;
  readonly annotations: string;
  /** Take regions marked `iscrowd` as objects, too. Default: they are left out. */
  readonly crowd?: boolean;
}

const format: CocoFormat = {
  name: "COCO's instances format",
  fileName: (image) => image.file_name,
};

/** What only COCO's relatives hold: panoptic segments, LVIS's images and categories. */
const relatives = /"segments_info"|"neg_category_ids"|"frequency"/;

export const coco: Reader = {
  ...twoPlaces("coco", "images", "instances.json"),
  places: "FOLDER or coco:IMAGES,ANNOTATIONS.json",
  about: "COCO instances: polygons, run lengths or boxes; a FOLDER has images/ and instances.json",
  settings: ["crowd"],
  detect: (look) => detectCoco(look, "instances", /"images"/, relatives),
  open: (spec) => openCoco(spec, format),
};

/** Opens a data set of the COCO family. */
export async function openCoco(spec: DataSpec, its: CocoFormat): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "images"));
  const builder = new IndexBuilder({ reader: spec.kind, root });
  const place = new Place(root, "image folder", spec.outside === true);
  const path = textOf(spec, "annotations");
  const classes = await readCoco(path, builder, place, its, spec.crowd === true);
  return builder.finish(classes);
}

/**
 * A JSON file of the COCO family, alone with its pictures near, in a folder beside `images/`, or as
 * COCO itself is laid out: `annotations/instances_train2017.json` beside `train2017/`.
 *
 * @param name of the file in a folder, without ending
 * @param has what such a file holds near its beginning or end
 * @param lacks what only its relatives hold
 */
export function detectCoco(look: Look, name: string, has: RegExp, lacks: RegExp): Detected[] {
  const fits = (file: string): boolean => {
    const text = look.glimpse(file);
    const isCoco = /^\s*\{/.test(text) && /"(images|annotations|categories)"\s*:\s*\[/.test(text);
    return isCoco && has.test(text) && !lacks.test(text);
  };
  const near = (file: string, path: string): Detected[] => {
    const images = fits(file) ? imagesNear(path) : undefined;
    return images === undefined
      ? []
      : [{ place: `${images},${path}`, because: `a file of this kind, pictures in ${images}` }];
  };
  if (look.isFile) return near("", look.place);
  const file = `${name}.json`;
  if (look.hasFolder("images") && fits(file))
    return [{ place: look.place, because: `${file} beside images/` }];
  return look
    .names("annotations")
    .filter((other) => other.startsWith(`${name}_`) && other.endsWith(".json"))
    .flatMap((other) => near(join("annotations", other), join(look.place, "annotations", other)));
}

/** Where the pictures of an annotation file lie: beside it, or where COCO puts them. */
export function imagesNear(file: string): string | undefined {
  const folder = dirname(file);
  const split = /_((?:train|val|test)\w*)\.json$/.exec(basename(file))?.[1];
  const places = [join(folder, "images")];
  if (split !== undefined)
    places.push(
      join(folder, split),
      join(folder, "..", split),
      join(folder, "..", "images", split),
    );
  return places.find((place) => statSync(place, { throwIfNoEntry: false })?.isDirectory());
}
