import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { codeOf, DataError, reasonOf } from "../core/index.js";
import { silhouette, type SpriteSource, type SpriteSplits, trim } from "./sprite.js";

/** Where Debian's package `dataset-fashion-mnist` puts its files. */
export const fashionMnistFolder = "/usr/share/datasets/fashion-mnist";

const classes = [
  "T-shirt/top",
  "Trouser",
  "Pullover",
  "Dress",
  "Coat",
  "Sandal",
  "Shirt",
  "Sneaker",
  "Bag",
  "Ankle boot",
];

/** Side of a photograph, pixels. */
const SIDE = 28;

/**
 * Photographs of fashion products, grey on black (Xiao et al. 2017, MIT licence).
 *
 * @throws DataError if a file is missing or is not what it should be
 */
export async function openFashionMnist(folder: string): Promise<SpriteSplits> {
  return {
    train: await openSplit(folder, "train"),
    test: await openSplit(folder, "t10k"),
  };
}

async function openSplit(folder: string, name: string): Promise<SpriteSource> {
  const images = await readIdx(join(folder, `${name}-images-idx3-ubyte.gz`), [SIDE, SIDE]);
  const labels = await readIdx(join(folder, `${name}-labels-idx1-ubyte.gz`), []);
  if (images.count !== labels.count) {
    throw new DataError(
      `Fashion-MNIST in ${folder}: ${images.count} ${name} images, but ${labels.count} labels`,
    );
  }
  return {
    size: images.count,
    classes,
    async read(index) {
      const gray = images.bytes.subarray(index * SIDE * SIDE, (index + 1) * SIDE * SIDE);
      const inside = silhouette(gray, SIDE, SIDE);
      const rgba = new Uint8Array(4 * SIDE * SIDE);
      for (let at = 0; at < gray.length; at += 1) {
        rgba[4 * at] = gray[at]!;
        rgba[4 * at + 1] = gray[at]!;
        rgba[4 * at + 2] = gray[at]!;
        rgba[4 * at + 3] = inside[at]! * 255;
      }
      return trim({ width: SIDE, height: SIDE, rgba, label: labels.bytes[index]! });
    },
  };
}

/**
 * Reads LeCun's idx format of bytes: two zero bytes, 8 (bytes), the number of dimensions, the
 * dimensions as big-endian 32-bit numbers, the values.
 */
async function readIdx(path: string, sides: readonly number[]) {
  const packed = await readFile(path).catch((cause: unknown) => {
    const reason = codeOf(cause) === "ENOENT" ? "is not there" : reasonOf(cause);
    throw new DataError(
      `Fashion-MNIST: ${path} ${reason}. On Debian and Ubuntu it comes with: ` +
        `sudo apt-get install dataset-fashion-mnist`,
      { cause },
    );
  });
  const file = await promisify(gunzip)(packed).catch((cause: unknown) => {
    throw new DataError(`Fashion-MNIST: ${path} is no gzip file (${reasonOf(cause)})`, { cause });
  });
  const begin = 4 + 4 * (sides.length + 1);
  const whole = file.length >= begin;
  const count = whole ? file.readUInt32BE(4) : 0;
  const fits =
    whole &&
    file.readUInt32BE(0) === 0x800 + sides.length + 1 &&
    sides.every((side, axis) => file.readUInt32BE(8 + 4 * axis) === side);
  const size = sides.reduce((product, side) => product * side, count);
  if (!fits || file.length !== begin + size) {
    throw new DataError(
      `Fashion-MNIST: ${path} is not an idx file of bytes [count${sides.map((s) => `, ${s}`).join("")}]`,
    );
  }
  return { count, bytes: new Uint8Array(file.buffer, file.byteOffset + begin, size) };
}
