import { type Allocate, decodeJpeg } from "@odis/torch/images";
import type Sharp from "sharp";
import type { Metadata, Sharp as Image } from "sharp";
import { BadImageError, readRegular, reasonOf } from "../core/index.js";
import type { Frame } from "../objects/index.js";
import type { PictureRules } from "./packed-index.js";
import { decodeOwnPng } from "./png.js";

let library: Promise<typeof Sharp> | undefined;

/** The image library, loaded when the first picture is decoded: a command's help must not wait for it. */
function imageLibrary(): Promise<typeof Sharp> {
  library ??= import("sharp").then(({ default: sharp }) => {
    // Parallelism comes from the loader's workers, and no picture is read twice in a row.
    sharp.concurrency(1);
    sharp.cache(false);
    // A picture is pixels: programs in disguise (SVG, PDF) and rare formats stay closed.
    sharp.block({ operation: ["VipsForeignLoad"] });
    const kinds = ["Jpeg", "Png", "Webp", "Nsgif", "Tiff", "Heif"];
    sharp.unblock({ operation: kinds.map((kind) => `VipsForeignLoad${kind}`) });
    return sharp;
  });
  return library;
}

/** Largest picture that is decoded, pixels; a larger one would need gigabytes. */
export const LARGEST_PICTURE = 1e8;

/** Largest file of a picture, bytes: uncompressed TIFF and little beside. */
export const LARGEST_FILE = 1 << 29;

/** A picture in memory. */
export interface Decoded extends Frame {
  /** height × width × 3, row-major */
  readonly rgb: Uint8Array;
}

/**
 * Decodes a picture to 8-bit RGB: grey is repeated, 16 bit keep their high byte, floats from 0 to 1
 * are scaled, transparent parts become white. Colours are the file's own numbers, as Pillow and so
 * the published pipelines have them: an embedded ICC profile is looked through only if `managed`;
 * CMYK becomes RGB as in Pillow, ink by ink.
 *
 * A photo may carry an EXIF note that turns it for display, and masks are drawn on one of the two
 * pixel grids. Where sizes were annotated they tell which one; where both have the same size (a half
 * turn, a mirror, a square) `ambiguous` is asked.
 *
 * @param key names the picture in errors
 * @param wanted the size that masks refer to, pixels; undefined if nothing was annotated
 * @param ambiguous whether a turned photograph whose sizes do not tell is meant as turned
 * @param allocate gives memory for the picture; asked where that saves something
 * @throws BadImageError if it cannot be decoded or has another size
 */
export async function decodeImage(
  bytes: Buffer,
  key: string,
  wanted: Frame | undefined,
  { color, exif }: Pick<PictureRules, "color" | "exif">,
  ambiguous: () => Promise<boolean>,
  allocate?: Allocate,
): Promise<Decoded> {
  try {
    const own = decodeOwnPng(bytes);
    if (own) return fitting(own, own, key, wanted);
    const facts = isOrdinary(bytes) ? undefined : await metadata(bytes);
    const size = facts && { width: facts.width, height: facts.height };
    const isTurned =
      facts !== undefined &&
      turns(facts) &&
      (exif === "annotated" && wanted
        ? (says(facts, wanted) ?? (await ambiguous()))
        : exif === "turned" || (exif === "annotated" && (await ambiguous())));
    const picture = await decode(bytes, facts, isTurned, color, allocate);
    return fitting(picture, size ?? picture, key, wanted);
  } catch (error) {
    if (error instanceof BadImageError) throw error;
    throw new BadImageError(key, `cannot be decoded (${reasonOf(error).trim()})`, { cause: error });
  }
}

function fitting(picture: Decoded, stored: Frame, key: string, wanted: Frame | undefined): Decoded {
  if (!wanted || sameSize(picture, wanted)) return picture;
  throw new BadImageError(
    key,
    `the file is ${stored.width} × ${stored.height} pixels; wanted ${wanted.width} × ` +
      `${wanted.height}, the size that its annotations refer to`,
  );
}

/** Whether EXIF wants the picture turned or mirrored. */
export const turns = ({ orientation = 1 }: Pick<Metadata, "orientation">): boolean =>
  orientation > 1 && orientation <= 8;

/** What an annotated size says: the turned picture is meant (true), the stored one, or it fits both. */
export function says(
  { width, height, orientation = 1 }: Metadata,
  wanted: Frame,
): boolean | undefined {
  const turned = orientation >= 5 ? { width: height, height: width } : { width, height };
  const [fitsStored, fitsTurned] = [sameSize({ width, height }, wanted), sameSize(turned, wanted)];
  return fitsStored === fitsTurned ? undefined : fitsTurned;
}

/** What a file says of its picture; nothing is decoded. */
export async function metadata(bytes: Buffer): Promise<Metadata> {
  const sharp = await imageLibrary();
  return sharp(bytes, { limitInputPixels: LARGEST_PICTURE }).metadata();
}

/**
 * Whether a file is a picture of 8 or 16 bits in grey or RGB that nothing turns, as nearly all are.
 * Asking the image library costs a tenth of decoding, so the answer may be a cautious no.
 */
export function isOrdinary(bytes: Buffer): boolean {
  if (bytes.readUInt32BE === undefined || bytes.length < 12) return false;
  if (bytes.readUInt32BE(0) === 0x89504e47) return bytes.indexOf("eXIf") < 0;
  return bytes.readUInt16BE(0) === 0xffd8 && isOrdinaryJpeg(bytes);
}

/** Walks the markers before the frame header: no EXIF, one or three components. */
function isOrdinaryJpeg(bytes: Buffer): boolean {
  for (let at = 2; at + 10 < bytes.length; ) {
    if (bytes[at] !== 0xff) return false;
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at += 1; // padding
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return bytes[at + 9] === 1 || bytes[at + 9] === 3;
    if (marker === 0xe1 && bytes.toString("latin1", at + 4, at + 8) === "Exif") return false;
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  return false;
}

async function decode(
  bytes: Buffer,
  facts: Metadata | undefined,
  turn: boolean,
  color: PictureRules["color"],
  allocate: Allocate | undefined,
): Promise<Decoded> {
  // Most photographs: the same pixels at a third of the cost, from a library without profiles.
  const plain =
    turn || color !== "stored" ? undefined : decodeJpeg(bytes, LARGEST_PICTURE, allocate);
  if (plain) return plain;
  const sharp = await imageLibrary();
  // "error" still refuses torn files but lets harmless decoder warnings pass, as PIL does.
  const image = sharp(bytes, {
    failOn: "error",
    sequentialRead: true,
    ignoreIcc: color === "stored",
    limitInputPixels: LARGEST_PICTURE,
  });
  const upright = turn ? image.autoOrient() : image;
  if (facts?.depth === "float" || facts?.depth === "double") return floats(upright);
  if (facts?.depth && !["uchar", "ushort"].includes(facts.depth))
    throw new Error(`its values are of the kind ${facts.depth}; wanted 8 or 16 bits, or floats`);
  if (facts?.space === "cmyk" && color === "stored") return inks(upright);
  const { data, info } = await upright
    .toColourspace("srgb")
    .flatten({ background: "white" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/** Floats from 0 to 1; what lies outside of that range has no agreed meaning. */
async function floats(image: Image): Promise<Decoded> {
  const { data, info } = await image.raw({ depth: "float" }).toBuffer({ resolveWithObject: true });
  const values = new Float32Array(Uint8Array.from(data).buffer);
  const { width, height, channels } = info;
  const rgb = new Uint8Array(3 * width * height);
  let [low, high] = [Infinity, -Infinity];
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const value = values[pixel * channels + (channels < 3 ? 0 : channel)]!;
      low = Math.min(low, value); // NaN stays, and fails below
      high = Math.max(high, value);
      rgb[3 * pixel + channel] = Math.round(255 * value);
    }
  }
  if (!(low >= 0 && high <= 1))
    throw new Error(`its values are floats from ${low} to ${high}; wanted 0 to 1`);
  return { width, height, rgb };
}

/** CMYK as Pillow converts it (`Convert.c`): (255 - K) - C · (255 - K) / 255, rounded. */
async function inks(image: Image): Promise<Decoded> {
  const { data, info } = await image
    .pipelineColourspace("cmyk")
    .toColourspace("cmyk")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const rgb = new Uint8Array(3 * width * height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const light = 255 - data[pixel * channels + 3]!;
    for (let ink = 0; ink < 3; ink += 1) {
      const product = data[pixel * channels + ink]! * light + 128;
      rgb[3 * pixel + ink] = light - (((product >> 8) + product) >> 8);
    }
  }
  return { width, height, rgb };
}

/** A picture whose longer side has this many pixels. */
export async function scaledTo({ rgb, width, height }: Decoded, side: number): Promise<Decoded> {
  const sharp = await imageLibrary();
  const { data, info } = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .resize(side, side, { fit: "inside" })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

/** Decodes a picture with transparent parts. @returns height × width × 4, row-major, 8 bit */
export async function decodeCutOut(path: string) {
  const sharp = await imageLibrary();
  const bytes = await readRegular(path, LARGEST_FILE);
  const { data, info } = await sharp(bytes, { failOn: "error", limitInputPixels: LARGEST_PICTURE })
    .toColourspace("srgb")
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgba: new Uint8Array(data) };
}

function sameSize(a: Frame, b: Frame): boolean {
  return a.width === b.width && a.height === b.height;
}
