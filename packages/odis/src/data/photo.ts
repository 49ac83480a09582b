import { BadImageError, DataError, FileProblem, plain, readRegular } from "../core/index.js";
import type { Sample } from "./dataset.js";
import { decodeImage, LARGEST_FILE } from "./decode.js";
import { decodeLabelMap } from "./label-map.js";

/**
 * One photograph by its path, of no data set: turned as its EXIF says, since whoever points at
 * something in it sees it like that.
 *
 * @throws DataError when there is none, or it cannot be decoded
 */
export async function readPhoto(path: string): Promise<Sample> {
  return decodePhoto(await bytesOf(path), path);
}

/**
 * The same of a file's bytes.
 *
 * @param name in messages
 * @throws DataError when it cannot be decoded
 */
export async function decodePhoto(bytes: Buffer, name: string): Promise<Sample> {
  const rules = { color: "stored", exif: "turned" } as const;
  const picture = await decodeImage(bytes, name, undefined, rules, () => Promise.resolve(true));
  return { key: name, ...picture, objects: [] };
}

/**
 * A mask in a PNG: every pixel that is not 0 (of a palette: its number) is inside.
 *
 * @throws DataError when there is none, or it has another size than the picture
 */
export async function readMask(
  path: string,
  { width, height }: Pick<Sample, "width" | "height">,
): Promise<Uint8Array> {
  const map = decodeLabelMap(await bytesOf(path), path);
  if (map.width === width && map.height === height)
    return Uint8Array.from(map.values, (value) => Number(value > 0));
  throw new BadImageError(
    path,
    `the mask is ${map.width} × ${map.height} pixels; wanted ${width} × ${height}, as the picture`,
  );
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return await readRegular(path, LARGEST_FILE);
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${plain(path)} ${cause.message}`, { cause });
  }
}
