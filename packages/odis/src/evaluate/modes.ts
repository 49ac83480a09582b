import { resampleBicubic } from "../views/resample.js";
import type { FramedImage, FramedObject } from "./frame.js";

/** How a network is asked for one object of an image (method: inference). */
export const modes = ["mask", "none", "crop", "blackout"] as const;
export type InferenceMode = (typeof modes)[number];

export interface ModeRule {
  /** in tables */
  readonly name: string;
  /** what it does, one clause */
  readonly meaning: string;
  /** whether only the object's patches are read: by [OBJ] in every block, or by the mean of patches */
  readonly restricts: boolean;
  /** network input that an object gets of its own, [3, size, size]; without it, the framed image */
  readonly picture?: (image: FramedImage, object: FramedObject, size: number) => Uint8Array;
}

export const modeRules: Readonly<Record<InferenceMode, ModeRule>> = {
  mask: {
    name: "with mask",
    meaning: "the object’s token sees the object’s patches only",
    restricts: true,
  },
  none: {
    name: "no mask",
    meaning: "the token sees the whole image, so objects of one image share a feature",
    restricts: false,
  },
  crop: {
    name: "cropped",
    meaning: "the object’s box is the whole input",
    restricts: false,
    picture: cropPicture,
  },
  blackout: {
    name: "black-out",
    meaning: "everything but the object is black",
    restricts: false,
    picture: blackoutPicture,
  },
};

/**
 * The object's bounding box in the original image, without a margin, squeezed to the square input
 * as frame `whole` squeezes an image. What the frame cuts off an object is in its crop.
 */
function cropPicture({ sample }: FramedImage, { seen }: FramedObject, size: number): Uint8Array {
  const out = new Uint8Array(3 * size * size);
  resampleBicubic(sample, { box: seen.box, flip: false }, size, out);
  return out;
}

/** The framed image with bytes 0 outside the object; the object's own pixels stay what they are. */
function blackoutPicture({ pixels }: FramedImage, { inside }: FramedObject): Uint8Array {
  const plane = inside.length;
  return pixels.map((byte, at) => byte * inside[at % plane]!);
}
