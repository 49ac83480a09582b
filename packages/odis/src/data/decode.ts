import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { BadImageError, codeOf, reasonOf } from "../core/index.js";
import { decodeOwnPng } from "./png.js";

// Parallelism comes from the loader's workers, and no picture is read twice in a row.
sharp.concurrency(1);
sharp.cache(false);

/**
 * Decodes a picture of any kind that libvips reads to 8-bit RGB: grey is repeated, CMYK and 16 bit
 * are converted, transparent parts become white.
 *
 * A photo may carry an EXIF note that turns it for display. Masks are drawn on one of the two pixel
 * grids, and only the annotated size can tell which: the stored grid is taken if it has that size
 * (as pycocotools does), else the turned one. Where both have the same size (a half turn, a mirror,
 * a square) the stored grid is meant.
 *
 * @param key names the picture in errors
 * @param wanted the size that masks refer to, pixels
 * @throws BadImageError if it cannot be decoded or has another size
 */
export async function decodeImage(
  path: string,
  key: string,
  wanted: { readonly width: number; readonly height: number },
): Promise<Decoded> {
  try {
    const file = await readFile(path);
    const stored = decodeOwnPng(file) ?? (await decode(file, false));
    if (sameSize(stored, wanted)) return stored;
    const turned = await decode(file, true);
    if (sameSize(turned, wanted)) return turned;
    throw new BadImageError(
      key,
      `the file is ${stored.width} × ${stored.height} pixels; wanted ${wanted.width} × ` +
        `${wanted.height}, the size that its annotations refer to`,
    );
  } catch (error) {
    if (error instanceof BadImageError) throw error;
    const reason =
      codeOf(error) === "ENOENT"
        ? `the file is gone: ${path}`
        : `cannot be decoded (${reasonOf(error).trim()})`;
    throw new BadImageError(key, reason, { cause: error });
  }
}

async function decode(file: Buffer, turn: boolean): Promise<Decoded> {
  // "error" still refuses torn files but lets harmless decoder warnings pass, as PIL does.
  const image = sharp(file, { failOn: "error", sequentialRead: true });
  const { data, info } = await (turn ? image.autoOrient() : image)
    .toColourspace("srgb")
    .flatten({ background: "white" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/** Decodes a picture with transparent parts. @returns height × width × 4, row-major, 8 bit */
export async function decodeCutOut(path: string) {
  const { data, info } = await sharp(await readFile(path), { failOn: "error" })
    .toColourspace("srgb")
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgba: new Uint8Array(data) };
}

function sameSize(a: Omit<Decoded, "rgb">, b: Omit<Decoded, "rgb">): boolean {
  return a.width === b.width && a.height === b.height;
}

/** A picture in memory. */
export interface Decoded {
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major */
  readonly rgb: Uint8Array;
}
