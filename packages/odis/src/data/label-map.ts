import { inflateSync } from "node:zlib";
import { decode, type DecodedPng } from "fast-png";
import { BadImageError, reasonOf } from "../core/index.js";
import type { LabelMap } from "./packed-index.js";
import { LARGEST_PICTURE } from "./decode.js";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Channels by PNG's colour type. */
const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Columns and rows that the passes of an interlaced PNG take: first, step (PNG, 8.2). */
const passes = [
  [0, 8, 0, 8],
  [4, 8, 0, 8],
  [0, 4, 4, 8],
  [2, 4, 0, 4],
  [0, 2, 2, 4],
  [1, 2, 0, 2],
  [0, 1, 1, 2],
] as const;

/**
 * Decodes a PNG whose pixels are numbers: palette indices and greys of up to 16 bits as they are,
 * colours as R + 256 · G + 65536 · B (COCO panoptic). An image library would turn palette indices
 * into colours.
 *
 * @param key names the picture in errors
 * @throws BadImageError
 */
export function decodeLabelMap(file: Buffer, key: string): LabelMap {
  try {
    const png = decode(checked(file));
    const { width, height, depth, channels } = png;
    const highest = channels === 1 && depth >= 8 ? 2 ** depth - 1 : undefined;
    return { width, height, values: valuesOf(png), highest };
  } catch (error) {
    throw new BadImageError(key, `its label map cannot be decoded (${reasonOf(error).trim()})`, {
      cause: error,
    });
  }
}

/**
 * The chunks that matter, checked: the pixels must fill the size in the header and not a byte
 * more, so that a small file cannot unpack to gigabytes.
 */
function checked(file: Buffer): Buffer {
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw new Error("it is no PNG");
  const kept: Buffer[] = [SIGNATURE];
  const pixels: Buffer[] = [];
  let header: Buffer | undefined;
  for (let at = 8; at + 12 <= file.length; ) {
    const length = file.readUInt32BE(at);
    const name = file.toString("latin1", at + 4, at + 8);
    if (at + 12 + length > file.length) throw new Error("it ends too early");
    const data = file.subarray(at + 8, at + 8 + length);
    if (["IHDR", "PLTE", "IDAT", "IEND"].includes(name))
      kept.push(file.subarray(at, at + 12 + length));
    if (name === "IHDR") header ??= data;
    if (name === "IDAT") pixels.push(data);
    if (name === "IEND") break;
    at += 12 + length;
  }
  if (!header || header.length !== 13) throw new Error("it has no header");
  const length = pixelBytes(header);
  const found = inflateSync(Buffer.concat(pixels), { maxOutputLength: length + 1 });
  if (found.length !== length)
    throw new Error(`its pixels take ${found.length} bytes; wanted ${length} for its size`);
  return Buffer.concat(kept);
}

/** Bytes that the pixels take before compression, filter bytes included. */
function pixelBytes(header: Buffer): number {
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [depth, type, interlaced] = [header[8]!, header[9]!, header[12] === 1];
  const channels = channelsOf[type];
  if (channels === undefined) throw new Error(`its colour type is ${type}`);
  if (width < 1 || height < 1 || width * height > LARGEST_PICTURE)
    throw new Error(`it has ${width} × ${height} pixels; at most ${LARGEST_PICTURE} are read`);
  const bytes = (columns: number, rows: number) =>
    columns === 0 ? 0 : rows * (1 + Math.ceil((columns * channels * depth) / 8));
  if (!interlaced) return bytes(width, height);
  return passes.reduce((sum, [x, dx, y, dy]) => {
    const columns = Math.max(0, Math.ceil((width - x) / dx));
    return sum + bytes(columns, Math.max(0, Math.ceil((height - y) / dy)));
  }, 0);
}

function valuesOf({ width, height, depth, channels, data }: DecodedPng): ArrayLike<number> {
  if (channels === 1 && depth >= 8) return data;
  if (channels === 1) return unpacked(data, width, height, depth);
  const values = new Uint32Array(width * height);
  const isColor = channels >= 3;
  if (isColor && depth > 8) throw new Error("its colours have 16 bits; wanted 8");
  for (let pixel = 0; pixel < values.length; pixel += 1) {
    const at = pixel * channels;
    values[pixel] = isColor ? data[at]! + 256 * data[at + 1]! + 65536 * data[at + 2]! : data[at]!;
  }
  return values;
}

/** Values of 1, 2 or 4 bits; rows begin at whole bytes. */
function unpacked(data: ArrayLike<number>, width: number, height: number, depth: number) {
  const values = new Uint8Array(width * height);
  const row = Math.ceil((width * depth) / 8);
  const perByte = 8 / depth;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const byte = data[y * row + Math.floor(x / perByte)]!;
      values[y * width + x] = (byte >> (8 - depth * ((x % perByte) + 1))) & (2 ** depth - 1);
    }
  }
  return values;
}
