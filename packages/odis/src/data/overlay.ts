import { basename } from "node:path";
import { BadImageError, DataError, grouped, plain } from "../core/index.js";
import type { SceneObject } from "../objects/index.js";
import type { DataSpec, OpenSource } from "./dataset.js";
import { tellsOfBare } from "./describe.js";
import { IndexBuilder } from "./index-builder.js";
import { objectsOf, type PackedIndex } from "./packed-index.js";
import { stringAt } from "./packed.js";
import type { Place } from "./place.js";
import { readCoco } from "./readers/coco-json.js";
import { listedObjects } from "./survey.js";

/** A file of masks in COCO's instances format, by the names of its pictures. */
export interface MaskSet {
  readonly index: PackedIndex;
  /** numbers of the pictures in the file, by their names */
  readonly keys: ReadonlyMap<string, number>;
  /** the picture's number in the file; undefined for one that it does not know */
  find(key: string): number | undefined;
}

/** @throws DataError saying what is wrong with the file */
export async function openMasks(path: string): Promise<MaskSet> {
  const builder = new IndexBuilder({ reader: "masks", root: "" });
  // The pictures lie somewhere else, or nowhere: their names are all that is taken.
  const place: Pick<Place, "find"> = { find: async (names) => [...names] };
  const format = {
    name: "COCO's instances format",
    fileName: (image: Readonly<Record<string, unknown>>) => image["file_name"],
  };
  const classes = await readCoco(path, builder, place, format, false);
  const index = builder.finish(classes);
  const keys = new Map<string, number>();
  for (let image = 0; image < index.size; image += 1) keys.set(stringAt(index.files, image), image);
  return { index, keys, find: (key) => keys.get(key) };
}

/** The objects of a picture of a mask set; their masks are drawn when somebody asks for pixels. */
export function masksOf(
  { index }: Pick<MaskSet, "index">,
  image: number,
  frame: { readonly width: number; readonly height: number },
): SceneObject[] {
  return objectsOf(index, image, frame, { map: undefined, masks: new Map() });
}

/** What threads open: the masks that were read, and where each image's are; -1 for none. */
export interface Overlay extends DataSpec {
  readonly kind: "overlaid";
  readonly of: DataSpec;
  readonly index: PackedIndex;
  readonly images: Int32Array;
}

/** What files of masks call a thing that has no class. */
export const NAMELESS = "object";

/** Names of pictures that a message shows. */
const SHOWN = 2;

/**
 * A data set whose objects are those of a file of masks, in the place of its own.
 *
 * @throws DataError when the file knows none of the pictures
 */
export async function overlayMasks(source: OpenSource, path: string): Promise<OpenSource> {
  const masks = await openMasks(path);
  const images = new Int32Array(new SharedArrayBuffer(4 * source.size));
  let missing = 0;
  for (let image = 0; image < source.size; image += 1) {
    images[image] = masks.find(source.key(image)) ?? -1;
    if (images[image]! < 0) missing += 1;
  }
  if (missing === source.size) {
    const names = (key: (image: number) => string, size: number) =>
      Array.from({ length: Math.min(SHOWN, size) }, (_, image) => plain(key(image))).join(", ");
    throw new DataError(
      `masks ${plain(path)}: knows none of the ${grouped(source.size)} pictures; it names ` +
        `${names((image) => stringAt(masks.index.files, image), masks.index.size)}, …, the data set ` +
        `${names((image) => source.key(image), source.size)}, …`,
    );
  }
  const spec: Overlay = { kind: "overlaid", of: source.spec, index: masks.index, images };
  const overlaid = overlaySource(source, spec);
  const count = grouped(masks.index.ids.length);
  return {
    ...overlaid,
    summary: `${source.summary}; objects are the ${count} of ${plain(basename(path))}`,
    notes: [
      ...source.notes.filter((note) => !tellsOfBare(note)),
      ...(missing > 0
        ? [
            `${grouped(missing)} of ${grouped(source.size)} pictures are not in ${plain(path)}: they have no object`,
          ]
        : []),
    ],
  };
}

export function overlaySource(source: OpenSource, spec: Overlay): OpenSource {
  const { index, images } = spec;
  // Where nothing has a class but this one, there are none: it would always be guessed right.
  const isNameless = index.classes.length === 1 && index.classes[0] === NAMELESS;
  const known = <T extends { readonly label: number }>(objects: readonly T[]): T[] =>
    objects.map((object) => (isNameless ? { ...object, label: -1 } : object));
  return {
    ...source,
    spec,
    classes: isNameless ? [] : index.classes,
    listed: (image) => (images[image]! < 0 ? [] : known(listedObjects(index, images[image]!))),
    read: async (image, memory) => {
      const sample = await source.read(image, memory);
      const at = images[image]!;
      if (at < 0) return { ...sample, objects: [] };
      const [width, height] = [index.widths[at]!, index.heights[at]!];
      if (width !== sample.width || height !== sample.height)
        throw new BadImageError(
          sample.key,
          `its masks are for ${width} × ${height} pixels, the picture has ${sample.width} × ${sample.height}`,
        );
      return { ...sample, objects: known(masksOf({ index }, at, sample)) };
    },
  };
}
