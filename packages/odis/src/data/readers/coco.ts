import {
  codeOf,
  DataError,
  isRecord,
  list,
  readJson,
  reasonOf,
  record,
  show,
} from "../../core/index.js";
import { boxRle, parsePolygons, parseRle } from "../../objects/index.js";
import {
  type CocoImage,
  type CocoIndex,
  objectsOf,
  packIndex,
  type Shape,
  stringAt,
} from "../packed-index.js";
import { readdir } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { decodeImage } from "../decode.js";
import type { DataSource } from "../dataset.js";

/** Pixels that a polygon or box may reach over the edge: annotation tools round. */
const OVERHANG = 1;

/** Mistakes that a message spells out; the rest is counted. */
const SHOWN = 3;

/** What an annotation file says. */
export interface CocoFile {
  readonly images: readonly CocoImage[];
  readonly classes: readonly string[];
}

/**
 * Reads and checks an annotation file in COCO's instances format.
 *
 * Labels are positions in `classes`, which follows the category ids. An annotation without a
 * segmentation gets its box as mask. Regions marked `iscrowd` are no single object and are left
 * out unless `crowd` asks for them.
 *
 * @throws DataError naming the file and, where there is one, the annotation and its image
 */
export async function readCocoFile(path: string, crowd: boolean): Promise<CocoFile> {
  const root = record(await readJson(path, "annotation file"), `annotation file ${path}`);
  const labels = readCategories(list(root, "categories", path), path);
  const entries = readImages(list(root, "images", path), path);
  if (entries.size === 0)
    throw new DataError(`annotation file ${path}: "images" is empty; wanted at least one image`);

  const mistakes: DataError[] = [];
  const seen = new Set<number>();
  for (const [index, value] of list(root, "annotations", path).entries()) {
    try {
      readAnnotation(value, index, { path, labels: labels.byId, entries, seen, crowd });
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      mistakes.push(error);
    }
  }
  if (mistakes.length > 0) throw summary(path, mistakes);
  return { images: [...entries.values()], classes: labels.names };
}

interface Reading {
  readonly path: string;
  readonly labels: ReadonlyMap<unknown, number>;
  readonly entries: ReadonlyMap<unknown, CocoImage>;
  readonly seen: Set<number>;
  readonly crowd: boolean;
}

function readAnnotation(value: unknown, index: number, reading: Reading): void {
  const nth = `annotations[${index}]`;
  const annotation = record(value, nth);
  const { id, image_id: imageId, category_id: categoryId } = annotation;
  if (typeof id !== "number" || !Number.isInteger(id)) {
    throw new DataError(`${nth}: "id" is ${show(id)}; wanted a whole number`);
  }
  if (reading.seen.has(id)) throw new DataError(`${nth}: annotation id ${id} is used twice`);
  reading.seen.add(id);
  const image = reading.entries.get(imageId);
  if (!image) {
    throw new DataError(`annotation ${id}: "image_id" ${show(imageId)} is no image of the file`);
  }
  const where = `annotation ${id} of image ${show(image.id)} (${image.file})`;
  const label = reading.labels.get(categoryId);
  if (label === undefined) {
    throw new DataError(`${where}: "category_id" ${show(categoryId)} is no category of the file`);
  }
  if (annotation.iscrowd === 1 && !reading.crowd) return;
  try {
    image.objects.push({ id, label, shape: readShape(annotation, image) });
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${where}: ${cause.message}`, { cause });
  }
}

function readShape(annotation: Readonly<Record<string, unknown>>, image: CocoImage): Shape {
  const { segmentation, bbox } = annotation;
  const { width, height } = image;
  if (Array.isArray(segmentation) && segmentation.length > 0) {
    const parts = parsePolygons(segmentation);
    for (const part of parts) {
      checkInside(
        part.filter((_, at) => at % 2 === 0),
        part.filter((_, at) => at % 2 === 1),
        image,
      );
    }
    return { form: "polygons", parts };
  }
  if (isRecord(segmentation)) {
    return { form: "runs", parts: [parseRle(segmentation, width, height).counts] };
  }
  if (segmentation !== undefined && segmentation !== null && !Array.isArray(segmentation)) {
    throw new DataError(`"segmentation" is ${show(segmentation)}; wanted polygons or an RLE`);
  }
  if (bbox === undefined) throw new DataError(`neither "segmentation" nor "bbox" is there`);
  boxRle(bbox, width, height); // throws unless it is four numbers; the mask is drawn when it is read
  const [x = 0, y = 0, w = 0, h = 0] = Array.isArray(bbox) ? bbox.map(Number) : [];
  checkInside([x, x + w], [y, y + h], image);
  return { form: "box", parts: [[x, y, w, h]] };
}

function checkInside(xs: readonly number[], ys: readonly number[], image: CocoImage): void {
  for (const [name, values, size] of [
    ["x", xs, image.width],
    ["y", ys, image.height],
  ] as const) {
    const low = values.reduce((a, b) => Math.min(a, b), Infinity);
    const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
    if (low >= -OVERHANG && high <= size + OVERHANG) continue;
    throw new DataError(
      `the mask reaches from ${name} = ${low} to ${high}; wanted 0 to ${size}, since the image is ` +
        `${image.width} × ${image.height} pixels`,
    );
  }
}

function readCategories(values: readonly unknown[], path: string) {
  const names = new Map<number, string>();
  for (const [index, value] of values.entries()) {
    const where = `${path}: categories[${index}]`;
    const { id, name } = record(value, where);
    if (typeof id !== "number" || typeof name !== "string") {
      throw new DataError(`${where} is ${show(value)}; wanted a number "id" and a text "name"`);
    }
    if (names.has(id)) throw new DataError(`${where}: category id ${id} is used twice`);
    names.set(id, name);
  }
  const sorted = [...names].toSorted(([a], [b]) => a - b);
  return {
    names: sorted.map(([, name]) => name),
    byId: new Map<unknown, number>(sorted.map(([id], label) => [id, label])),
  };
}

function readImages(values: readonly unknown[], path: string): Map<unknown, CocoImage> {
  const entries = new Map<unknown, CocoImage>();
  for (const [index, value] of values.entries()) {
    const where = `${path}: images[${index}]`;
    const { id, file_name: file, width, height } = record(value, where);
    if (typeof id !== "number" && typeof id !== "string") {
      throw new DataError(`${where}: "id" is ${show(id)}; wanted a number`);
    }
    if (typeof file !== "string" || file === "") {
      throw new DataError(`${where}: "file_name" is ${show(file)}; wanted the name of a picture`);
    }
    if (!isSide(width) || !isSide(height)) {
      throw new DataError(
        `${where} (${file}): "width" and "height" are ${show(width)} and ${show(height)}; ` +
          `wanted whole numbers of pixels, 1 or more`,
      );
    }
    if (entries.has(id)) throw new DataError(`${where} (${file}): image id ${id} is used twice`);
    entries.set(id, { id, file, width, height, objects: [] });
  }
  return entries;
}

function summary(path: string, mistakes: readonly DataError[]): DataError {
  const shown = mistakes.slice(0, SHOWN).map((mistake) => mistake.message);
  if (mistakes.length > SHOWN) shown.push(`… and ${mistakes.length - SHOWN} more mistakes`);
  return new DataError(`annotation file ${path}: ${shown.join("\n  ")}`, { cause: mistakes[0] });
}

function isSide(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1;
}

/** A folder of pictures and a file in COCO's instances format. */
export interface CocoSpec {
  readonly kind: "coco";
  readonly images: string;
  readonly annotations: string;
  /** Take regions marked `iscrowd` as objects, too. Default: they are left out. */
  readonly crowd?: boolean;
}

/**
 * Reads the annotations, checks all of them, and checks that every picture is there.
 *
 * @throws DataError saying what is wrong with the data set
 */
export async function indexCoco(spec: CocoSpec): Promise<CocoIndex> {
  const images = resolve(spec.images);
  const file = await readCocoFile(spec.annotations, spec.crowd ?? false);
  await checkPictures(file.images, images, spec.annotations);
  return packIndex(file.images, file.classes, images);
}

/** The data set of a checked index; touches the disk only to read pictures. */
export function cocoSource(index: CocoIndex): DataSource {
  const key = (image: number) => stringAt(index.files, image);
  return {
    size: index.widths.length,
    classes: index.classes,
    key,
    async read(image) {
      const name = key(image);
      const [width, height] = [index.widths[image]!, index.heights[image]!];
      const { rgb } = await decodeImage(resolve(index.images, name), name, { width, height });
      return { key: name, width, height, rgb, objects: objectsOf(index, image) };
    },
  };
}

/** One listing per folder: asking for each of a million files would take minutes. */
async function checkPictures(
  pictures: readonly CocoImage[],
  images: string,
  annotations: string,
): Promise<void> {
  const folders = new Map<string, ReadonlySet<string>>([[images, await listing(images)]]);
  const missing: string[] = [];
  for (const { file } of pictures) {
    const path = resolve(images, file);
    const folder = dirname(path);
    const names = folders.get(folder) ?? (await listing(folder).catch(() => new Set<string>()));
    folders.set(folder, names);
    if (!names.has(basename(path))) missing.push(file);
  }
  if (missing.length === 0) return;
  const some = missing.slice(0, 3).join(", ") + (missing.length > 3 ? ", …" : "");
  throw new DataError(
    `${missing.length} of ${pictures.length} images of ${annotations} are not in the folder ` +
      `${images}: ${some}`,
  );
}

async function listing(folder: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (cause) {
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "does not exist",
      ENOTDIR: "is not a folder",
    };
    const reason = reasons[codeOf(cause)] ?? `cannot be read (${reasonOf(cause)})`;
    throw new DataError(`image folder ${folder} ${reason}`, { cause });
  }
}
