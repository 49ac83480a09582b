import { promisify } from "node:util";
import { crc32, deflate } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

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
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // 8 bits a channel, RGB; standard compression and filters, not interlaced
  return Buffer.concat([
    SIGNATURE,
    ...chunk("IHDR", header),
    ...chunk("IDAT", await promisify(deflate)(filtered, { level: 1 })),
    ...chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(name: string, data: Buffer): Buffer[] {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const type = Buffer.from(name);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(data, crc32(type)));
  return [length, type, data, sum];
}
