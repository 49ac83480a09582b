import { resampleBicubic } from "../views/resample.js";
import type { Sample } from "../data/source.js";
import type { SceneObject } from "../objects/object.js";
import type { FramedImage } from "./frame.js";
import type { Extractor, FeatureRows } from "./gather.js";

/** Side of the square that a crop is resized to, pixels. */
const side = 28;
const width = 3 * side * side;

/**
 * The baseline without any network: the object's bounding box resized to 28 x 28 RGB.
 * `mask`: the background inside the box is black; `none`: the box as it is; `image`: the whole
 * image in place of the box.
 */
export class PixelExtractor implements Extractor {
  private readonly rows: Float32Array[] = [];

  constructor(private readonly mode: "mask" | "none" | "image") {}

  push({ sample, objects }: FramedImage): void {
    for (const { object } of objects) {
      if (this.mode === "image") this.rows.push(standardised(sample));
      else this.rows.push(standardised(cutOut(sample, object, this.mode === "mask")));
    }
  }

  finish(): FeatureRows {
    const features = new Float32Array(this.rows.length * width);
    for (const [row, values] of this.rows.entries()) features.set(values, row * width);
    return { features, width };
  }
}

/** A picture of an object's box alone. */
export function cutOut(
  { rgb, width: stride }: Pick<Sample, "rgb" | "width">,
  { box, pixels }: Pick<SceneObject, "box" | "pixels">,
  blackout: boolean,
): { width: number; height: number; rgb: Uint8Array } {
  const cut = new Uint8Array(3 * box.width * box.height);
  const inside = blackout ? pixels() : undefined;
  for (let y = 0, to = 0; y < box.height; y += 1) {
    for (let x = 0; x < box.width; x += 1, to += 3) {
      const from = (box.y + y) * stride + box.x + x;
      if (inside && !inside[from]) continue;
      for (let c = 0; c < 3; c += 1) cut[to + c] = rgb[3 * from + c]!;
    }
  }
  return { width: box.width, height: box.height, rgb: cut };
}

/** Resized, then mean 0 and length 1 over all values, so that brightness and contrast do not count. */
function standardised(picture: { width: number; height: number; rgb: Uint8Array }): Float32Array {
  const bytes = new Uint8Array(width);
  const box = { x: 0, y: 0, width: picture.width, height: picture.height };
  resampleBicubic(picture, { box, flip: false }, side, bytes);
  const mean = bytes.reduce((sum, byte) => sum + byte, 0) / width;
  const centred = Float32Array.from(bytes, (byte) => byte - mean);
  const length = Math.hypot(...centred);
  return length > 0 ? centred.map((value) => value / length) : centred;
}
