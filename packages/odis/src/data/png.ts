import { promisify } from "node:util";
import { crc32, deflate, inflateSync } from "node:zlib";
import type { Decoded } from "./decode.js";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Bytes before the chunk of pixels: the signature, and the header's chunk. */
const HEAD = 8 + 25;

/** Where the pixels begin: after their chunk's length and name. */
const DATA = HEAD + 8;

/** The chunk IEND, which is the same in all files. */
const TRAILER = Buffer.concat(chunk("IEND", Buffer.alloc(0)));

/** PNG's filter "up": each byte is stored as the difference to the one above it. */
const UP = 2;

/**
 * A PNG of 8-bit RGB. For pictures as small as scenes this takes a quarter of an image library's
 * time per call, and the bytes depend on zlib alone.
 *
 * @param rgb height × width × 3, row-major
 */
export async function encodePng(rgb: Uint8Array, width: number, height: number): Promise<Buffer> {
  const row = 3 * width;
  const filtered = new Uint8Array(height * (row + 1));
  for (let y = 0; y < height; y += 1) {
    const to = y * (row + 1);
    filtered[to] = UP;
    for (let x = 0; x < row; x += 1) {
      const at = y * row + x;
      filtered[to + 1 + x] = rgb[at]! - (y > 0 ? rgb[at - row]! : 0); // wraps at 256, as PNG wants
    }
  }
  return Buffer.concat([
    head(width, height),
    ...chunk("IDAT", await promisify(deflate)(filtered, { level: 1 })),
    TRAILER,
  ]);
}

/**
 * Reads what {@link encodePng} wrote, and nothing else: an image library takes several times as long for
 * pictures of this size, which a small model's training would notice.
 *
 * @returns undefined for every other file, torn ones included
 */
export function decodeOwnPng(file: Buffer): Decoded | undefined {
  const end = file.length - TRAILER.length;
  if (end < DATA || !file.subarray(end).equals(TRAILER)) return undefined;
  const [width, height] = [file.readUInt32BE(16), file.readUInt32BE(20)];
  const pixels = file.subarray(DATA, end - 4);
  if (!file.subarray(0, HEAD).equals(head(width, height))) return undefined;
  if (!Buffer.concat(chunk("IDAT", pixels)).equals(file.subarray(HEAD, end))) return undefined;
  const filtered = inflateSync(pixels, { maxOutputLength: height * (3 * width + 1) });
  const row = 3 * width;
  if (filtered.length !== height * (row + 1)) return undefined;
  const rgb = new Uint8Array(height * row);
  for (let y = 0; y < height; y += 1) {
    const from = y * (row + 1);
    if (filtered[from] !== UP) return undefined;
    for (let x = 0; x < row; x += 1) {
      const at = y * row + x;
      rgb[at] = filtered[from + 1 + x]! + (y > 0 ? rgb[at - row]! : 0);
    }
  }
  return { width, height, rgb };
}

function head(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // 8 bits a channel, RGB; standard compression and filters, not interlaced
  return Buffer.concat([SIGNATURE, ...chunk("IHDR", header)]);
}

function chunk(name: string, data: Buffer): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const type = Buffer.from(name);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(data, crc32(type)));
  return [length, type, data, sum];
}
