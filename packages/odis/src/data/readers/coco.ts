import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError } from "../../core/index.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Place } from "../place.js";
import type { PackedIndex } from "../packed-index.js";
import type { Detected, Reader } from "../registry.js";
import type { DataSpec } from "../dataset.js";
import { textOf } from "../spec.js";
import { type CocoFormat, readCoco } from "./coco-json.js";

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

export const coco: Reader = {
  kind: "coco",
  places: "FOLDER or coco:IMAGES,ANNOTATIONS.json",
  about: "COCO instances: polygons, run lengths or boxes; a FOLDER has images/ and instances.json",
  settings: ["crowd"],
  detect: (look) => detectCoco(look, isInstances),
  parse: (place) => parseImagesAnd(place, "coco", "instances.json"),
  place: placeOfCoco,
  open: (spec) => openCoco(spec, format),
};

const isInstances = (start: string) => !start.includes('"segments_info"');

/** Opens a data set of the COCO family. */
export async function openCoco(spec: DataSpec, its: CocoFormat): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "images"));
  const builder = new IndexBuilder({ reader: spec.kind, root });
  const place = new Place(root, "image folder", spec.outside === true);
  const path = textOf(spec, "annotations");
  const classes = await readCoco(path, builder, place, its, spec.crowd === true);
  return builder.finish(classes);
}

export function placeOfCoco(spec: DataSpec): string {
  return `${textOf(spec, "images")},${textOf(spec, "annotations")}`;
}

/**
 * `FOLDER`, with `images/` and the annotations in it, or `IMAGES,ANNOTATIONS.json`. Names of folders
 * may hold commas: what exists decides where the first part ends.
 *
 * @throws ConfigError when it is neither, or when it can be cut in several ways
 */
export function parseImagesAnd(place: string, kind: string, file: string): DataSpec {
  const cuts = [...place.matchAll(/,/g)]
    .map(({ index: at }) => ({
      kind,
      images: place.slice(0, at),
      annotations: place.slice(at + 1),
    }))
    .filter(({ images, annotations }) => images !== "" && annotations !== "");
  const there = cuts.filter(
    ({ images, annotations }) => isFolder(images) && existsSync(annotations),
  );
  const [cut] = there.length > 0 ? there : cuts;
  const count = there.length > 0 ? there.length : cuts.length;
  if (!place.includes(",") || (isFolder(place) && there.length === 0))
    return { kind, images: join(place, "images"), annotations: join(place, file) };
  if (cut && count === 1) return cut;
  throw new ConfigError(
    `data "${kind}:${place}": wanted ${kind}:FOLDER (with images/ and ${file} in it) or ` +
      `${kind}:IMAGES,ANNOTATIONS.json${count > 1 ? "; with these commas it can be cut in several ways" : ""}`,
  );
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** A JSON file that begins as COCO's do, alone or in a folder beside the pictures. */
export function detectCoco(look: Look, fits: (start: string) => boolean): Detected | undefined {
  if (look.isFile) {
    const images =
      isCocoStart(look.start()) && fits(look.start()) ? imagesBeside(look.place) : undefined;
    return images === undefined
      ? undefined
      : { place: `${images},${look.place}`, because: `a COCO file, pictures in ${images}` };
  }
  const file = look.names().find((name) => name === "instances.json");
  if (!file || !look.hasFolder("images") || !fits(look.start(file))) return undefined;
  return { place: look.place, because: "instances.json beside images/" };
}

function isCocoStart(start: string): boolean {
  return /^\s*\{/.test(start) && /"(images|annotations|categories|info|licenses)"\s*:/.test(start);
}

function imagesBeside(file: string): string | undefined {
  const folder = dirname(file);
  const named = /(?:instances|panoptic|lvis_v\d)_(\w+)\.json$/.exec(basename(file))?.[1];
  const candidates = [
    join(folder, "images"),
    ...(named ? [join(folder, named), join(folder, "..", named)] : []),
  ];
  return candidates.find(isFolder);
}
