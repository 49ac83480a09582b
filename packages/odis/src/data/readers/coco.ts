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
  detect: (look) => detectCoco(look, "instances.json", /"images"/, relatives),
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
 * A JSON file of the COCO family, alone with its pictures near, or in a folder beside `images/`.
 *
 * @param name of the file in a folder
 * @param has what such a file holds near its beginning or end
 * @param lacks what only its relatives hold
 */
export function detectCoco(
  look: Look,
  name: string,
  has: RegExp,
  lacks: RegExp,
): Detected | undefined {
  const file = look.isFile ? "" : name;
  const text = look.glimpse(file);
  const isCoco = /^\s*\{/.test(text) && /"(images|annotations|categories)"\s*:\s*\[/.test(text);
  if (!isCoco || !has.test(text) || lacks.test(text)) return undefined;
  if (look.isFolder)
    return look.hasFolder("images")
      ? { place: look.place, because: `${name} beside images/` }
      : undefined;
  const images = imagesNear(look.place);
  return images === undefined
    ? undefined
    : { place: `${images},${look.place}`, because: `a file of this kind, pictures in ${images}` };
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
