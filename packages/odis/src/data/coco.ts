import { readdir } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { DataError } from "../errors.js";
import { codeOf, reasonOf } from "./checks.js";
import { readCocoFile } from "./coco-file.js";
import { type CocoImage, type CocoIndex, objectsOf, packIndex } from "./coco-index.js";
import { decodeImage } from "./decode.js";
import { stringAt } from "./packed.js";
import type { DataSource } from "./sample.js";

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
