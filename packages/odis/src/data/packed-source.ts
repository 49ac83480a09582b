import { resolve } from "node:path";
import {
  BadImageError,
  DataError,
  FileProblem,
  openRegular,
  readRange,
  readRegular,
  readRegularHere,
} from "../core/index.js";
import { type Frame, type Rle, rleFromMask } from "../objects/index.js";
import { archiveSource } from "./archive-source.js";
import { decodeImage, isOrdinary, LARGEST_FILE } from "./decode.js";
import { decodeLabelMap } from "./label-map.js";
import {
  forms,
  type LabelMap,
  objectRange,
  objectsOf,
  type PackedIndex,
  shapeOf,
} from "./packed-index.js";
import { stringAt } from "./packed.js";
import { identityOf } from "./picture.js";
import type { DataSource, ReadMemory, Sample } from "./dataset.js";
import { isTurned } from "./turning.js";

/** The data set of a checked index; touches the disk only to read pictures. */
export function packedSource(index: PackedIndex): DataSource {
  if (index.archives) return archiveSource(index, index.archives);
  const key = (image: number) => stringAt(index.files, image);
  return {
    size: index.size,
    classes: index.classes,
    key,
    read: (image, memory) => readSample(index, image, key(image), memory),
    picture: async (image) => identityOf(await readBytes(index, key(image), key(image))),
    file: (image) => readBytes(index, key(image), key(image)),
  };
}

async function readSample(
  index: PackedIndex,
  image: number,
  key: string,
  memory?: ReadMemory,
): Promise<Sample> {
  const bytes = await readBytes(index, key, key, memory);
  const picture = await decodeImage(
    bytes,
    key,
    annotatedSize(index, image),
    index.pictures,
    () => isTurned(index.pictures, () => siblings(index)),
    memory?.picture,
  );
  const { width, height, rgb } = picture;
  try {
    const map = await labelMap(index, image, key, picture);
    const masks = await maskFiles(index, image, key, picture);
    return { key, width, height, rgb, objects: objectsOf(index, image, picture, { map, masks }) };
  } catch (error) {
    if (!(error instanceof DataError) || error instanceof BadImageError) throw error;
    throw new BadImageError(key, error.message, { cause: error });
  }
}

function annotatedSize({ widths, heights }: PackedIndex, image: number): Frame | undefined {
  const [width, height] = [widths[image]!, heights[image]!];
  return width > 0 ? { width, height } : undefined;
}

async function readBytes(
  { root }: PackedIndex,
  file: string,
  key: string,
  memory?: ReadMemory,
): Promise<Buffer> {
  const path = resolve(root, file);
  try {
    // Whoever gives memory reads picture after picture in a thread of its own.
    return memory
      ? await readRegularHere(path, LARGEST_FILE, memory.file)
      : await readRegular(path, LARGEST_FILE);
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    const reason =
      cause.code === "ENOENT" ? `the file is gone: ${path}` : `the file ${path} ${cause.message}`;
    throw new BadImageError(key, reason, { cause });
  }
}

async function labelMap(
  index: PackedIndex,
  image: number,
  key: string,
  { width, height }: Frame,
): Promise<LabelMap | undefined> {
  const file = index.maps && stringAt(index.maps.files, image);
  if (!file) return undefined;
  const map = decodeLabelMap(await readBytes(index, file, key), key);
  if (map.width === width && map.height === height) return map;
  throw new BadImageError(
    key,
    `its label map ${file} is ${map.width} × ${map.height} pixels; wanted ${width} × ${height}, as the picture`,
  );
}

/** Masks that are files, by their numbers. They may be smaller than the picture, as Open Images' are. */
async function maskFiles(
  index: PackedIndex,
  image: number,
  key: string,
  frame: Frame,
): Promise<Map<number, Rle>> {
  const masks = new Map<number, Rle>();
  const [begin, end] = objectRange(index, image);
  for (let object = begin; object < end; object += 1) {
    if (index.objectForms[object] !== forms.indexOf("file")) continue;
    const number = shapeOf(index, object).parts[0]![0]!;
    const file = stringAt(index.maskFiles, number);
    const map = decodeLabelMap(await readBytes(index, file, key), key);
    masks.set(number, rleFromMask(resized(map, frame), frame.width, frame.height));
  }
  return masks;
}

/** Nearest neighbour, pixel centre to pixel centre. */
function resized(map: LabelMap, { width, height }: Frame): Uint8Array {
  const mask = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    const row = Math.floor(((y + 0.5) * map.height) / height) * map.width;
    for (let x = 0; x < width; x += 1) {
      const column = Math.floor(((x + 0.5) * map.width) / width);
      mask[y * width + x] = map.values[row + column]! > 0 ? 1 : 0;
    }
  }
  return mask;
}

/** Pictures with their annotated sizes, in order, to see how photographs that EXIF turns are meant. */
async function* siblings(index: PackedIndex) {
  if (!index.widths.some((width) => width > 0)) return;
  for (let image = 0; image < index.size; image += 1) {
    const wanted = annotatedSize(index, image);
    const key = stringAt(index.files, image);
    const bytes = wanted && (await readDoubtful(resolve(index.root, key)).catch(() => undefined));
    yield bytes && { bytes, wanted };
  }
}

/** Bytes in which a photograph's EXIF lies. */
const HEAD = 1 << 16;

/** A file whose beginning may hold a note that turns it; undefined for the many others. */
async function readDoubtful(path: string): Promise<Buffer | undefined> {
  const { file, size } = await openRegular(path);
  try {
    const head = await readRange(file, 0, Math.min(size, HEAD));
    return isOrdinary(head) || size > LARGEST_FILE ? undefined : await readRange(file, 0, size);
  } finally {
    await file.close();
  }
}
