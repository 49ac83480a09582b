import sharp from "sharp";
import { scaledTo } from "../data/index.js";
import type { Box } from "../objects/index.js";

/** An image in host memory: height × width × 3, row-major. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** Larger pictures get 256 colours of their own: a third of the bytes, and nobody sees it. */
const exactPixels = 96 * 96;

/** A picture as the text of a PNG data address, so that the report needs no second file. */
export async function pngAddress({ width, height, rgb }: Picture): Promise<string> {
  const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9, palette: width * height > exactPixels })
    .toBuffer();
  return `data:image/png;base64,${png.toString("base64")}`;
}

/** Shrinks a picture so that its longer side is at most `longest`; small ones stay as they are. */
export async function shrunk(picture: Picture, longest: number): Promise<Picture> {
  return Math.max(picture.width, picture.height) > longest ? scaledTo(picture, longest) : picture;
}

/** Planar bytes [3, size, size] as a picture. */
export function fromPlanar(planar: Uint8Array, size: number): Picture {
  const rgb = new Uint8Array(planar.length);
  const plane = size * size;
  for (let at = 0; at < plane; at += 1)
    for (let c = 0; c < 3; c += 1) rgb[3 * at + c] = planar[c * plane + at]!;
  return { width: size, height: size, rgb };
}

/**
 * An object with some of its surroundings, which are paler the less they belong to it: square,
 * white where the square leaves the image.
 */
export function objectCrop(picture: Picture, box: Box, inside: Uint8Array): Picture {
  const side = Math.ceil(Math.max(box.width, box.height) * 1.2);
  const [x0, y0] = [
    Math.round(box.x + (box.width - side) / 2),
    Math.round(box.y + (box.height - side) / 2),
  ];
  const rgb = new Uint8Array(3 * side * side).fill(255);
  for (let y = Math.max(0, -y0); y < side && y0 + y < picture.height; y += 1) {
    for (let x = Math.max(0, -x0); x < side && x0 + x < picture.width; x += 1) {
      const from = (y0 + y) * picture.width + x0 + x;
      const pale = inside[from] ? 0 : 0.6;
      for (let c = 0; c < 3; c += 1)
        rgb[3 * (y * side + x) + c] = picture.rgb[3 * from + c]! * (1 - pale) + 255 * pale;
    }
  }
  return { width: side, height: side, rgb };
}

/** Attention this many times the mean is drawn at full brightness. */
export const fullHeat = 3;

/**
 * Heat over a grey picture: dark grey where the grid is 0, orange where it is high. Brightness
 * tells multiples of the mean, so that attention without a preference looks like that.
 *
 * @param grid [side, side] values ≥ 0; zeros do not count for the mean
 */
export async function heatPicture(
  picture: Picture,
  grid: Float32Array,
  side: number,
): Promise<Picture> {
  const positive = grid.filter((value) => value > 0);
  const mean = positive.reduce((sum, value) => sum + value, 0) / Math.max(1, positive.length);
  const full = Math.max(mean * fullHeat, 1e-12);
  const bytes = Uint8Array.from(grid, (value) => Math.round(255 * Math.min(1, value / full)));
  const { width, height } = picture;
  const smooth = await sharp(bytes, { raw: { width: side, height: side, channels: 1 } })
    .resize({ width, height, fit: "fill", kernel: "cubic" })
    .extractChannel(0)
    .raw()
    .toBuffer();
  const rgb = new Uint8Array(picture.rgb.length);
  for (let at = 0; at < width * height; at += 1) {
    const [r, g, b] = [picture.rgb[3 * at]!, picture.rgb[3 * at + 1]!, picture.rgb[3 * at + 2]!];
    const gray = (0.3 * r + 0.59 * g + 0.11 * b) * 0.55;
    const heat = (0.9 * smooth[at]!) / 255; // the picture stays visible under the strongest heat
    rgb[3 * at] = gray + (255 - gray) * heat;
    rgb[3 * at + 1] = gray + (176 - gray) * heat;
    rgb[3 * at + 2] = gray * (1 - heat) + 20 * heat;
  }
  return { width, height, rgb };
}

/** Every cell of a region as one SVG path of squares. */
export function cells(bits: ArrayLike<number>, columns: number, cell: number): string {
  return Array.from(bits, (bit, i) =>
    bit
      ? `M${(i % columns) * cell},${Math.floor(i / columns) * cell}h${cell}v${cell}h${-cell}z`
      : "",
  ).join("");
}
