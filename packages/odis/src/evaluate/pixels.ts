import { drawView } from "@odis/torch/images";
import type { Decoded as Picture, Sample } from "../data/index.js";
import type { SceneObject } from "../objects/index.js";
import type {
  Extractor,
  FeatureRows,
  FramedImage,
  FramedObject,
  InferenceMode,
} from "../features/index.js";

/** Side of the square that a crop is resized to, pixels. */
const side = 28;
/** Values in a row. */
export const pixelWidth = 3 * side * side;

/** The picture that stands for an object, by inference mode: pixels attend to nothing. */
const pictures: Readonly<
  Record<InferenceMode, (image: FramedImage, object: FramedObject) => Picture>
> = {
  mask: ({ sample }, { seen }) => cutOut(sample, seen, true),
  none: ({ sample }) => sample,
  crop: ({ sample }, { seen }) => cutOut(sample, seen, false),
  blackout: ({ sample }, { seen }) => blackedOut(sample, seen.pixels()),
  "crop-mask": ({ sample }, { seen }) => cutOut(sample, seen, true),
  isolated: ({ sample }, { seen }) => cutOut(sample, seen, true),
};

/**
 * The baseline without any network: a picture resized to 28 x 28 RGB. `mask`,
 * `isolated` and `crop-mask`: the object's box with a black background; `crop`: the box as it is; `none`: the whole image; `blackout`: the whole
 * image, black outside the object.
 */
export class PixelExtractor implements Extractor {
  private readonly done: Float32Array[] = [];

  constructor(private readonly mode: InferenceMode) {}

  push(image: FramedImage): void {
    for (const object of image.objects)
      this.done.push(standardised(pictures[this.mode](image, object)));
  }

  finish(): void {}

  rows(): FeatureRows {
    const features = new Float32Array(this.done.length * pixelWidth);
    for (const [row, values] of this.done.entries()) features.set(values, row * pixelWidth);
    return { features, width: pixelWidth };
  }
}

function blackedOut({ rgb, width, height }: Picture, inside: Uint8Array): Picture {
  return { width, height, rgb: rgb.map((byte, at) => byte * inside[Math.floor(at / 3)]!) };
}

/** A picture of an object's box alone. */
export function cutOut(
  { rgb, width: stride }: Pick<Sample, "rgb" | "width">,
  { box, pixels }: Pick<SceneObject, "box" | "pixels">,
  blackout: boolean,
): Picture {
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
function standardised(picture: Picture): Float32Array {
  const bytes = new Uint8Array(pixelWidth);
  const box = { x: 0, y: 0, width: picture.width, height: picture.height };
  drawView(picture, { box, flip: false }, side, bytes);
  const mean = bytes.reduce((sum, byte) => sum + byte, 0) / pixelWidth;
  const centred = Float32Array.from(bytes, (byte) => byte - mean);
  const length = Math.hypot(...centred);
  return length > 0 ? centred.map((value) => value / length) : centred;
}
