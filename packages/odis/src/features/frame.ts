import { countPatches, drawMask, drawView, type Mask } from "@odis/torch/images";
import type { Sample } from "../data/index.js";
import { type Box, type SceneObject, visiblePatches } from "../objects/index.js";

/**
 * Which part of an image an evaluation looks at. `whole`: everything, squeezed to a square, so that
 * no object is lost. `center`: the published protocol's square, the middle 224/256 of the short
 * side. The published code resizes before it cuts; here the square is cut first, on whole pixels of
 * the image, so its edges differ from the published ones by less than a pixel of the image.
 */
export const frames = ["whole", "center"] as const;
export type Frame = (typeof frames)[number];

/** How an image becomes network input; nothing is random. */
export interface FrameOptions {
  readonly frame: Frame;
  /** side of the network's input, pixels; a multiple of `patch` */
  readonly size: number;
  readonly patch: number;
}

/** An image as a network sees it in evaluation, with its labelled objects. */
export interface FramedImage {
  /** index in its source */
  readonly index: number;
  /** index of the first image of its source that shows the same picture: itself, nearly always */
  readonly picture: number;
  readonly sample: Sample;
  /** [3, size, size] */
  readonly pixels: Uint8Array;
  /** at least one */
  readonly objects: readonly FramedObject[];
}

export interface FramedObject {
  /** index in `sample.objects` */
  readonly index: number;
  readonly object: SceneObject;
  /** the object as the network is told of it: worse than it is where masks are degraded */
  readonly seen: SceneObject;
  /** [size, size], 1 = the pixel of the framed image belongs to `seen`; at least one does */
  readonly inside: Uint8Array;
  /** [N], 1 = the patch belongs to `seen` */
  readonly visible: Uint8Array;
}

/** The square of the original image that an evaluation looks at. */
export function frameBox({ width, height }: Pick<Sample, "width" | "height">, frame: Frame): Box {
  if (frame === "whole") return { x: 0, y: 0, width, height };
  const side = Math.max(1, Math.round((Math.min(width, height) * 224) / 256));
  return {
    x: Math.round((width - side) / 2),
    y: Math.round((height - side) / 2),
    width: side,
    height: side,
  };
}

/** @returns [3, size, size] */
export function framePixels(sample: Sample, { frame, size }: FrameOptions): Uint8Array {
  const out = new Uint8Array(3 * size * size);
  drawView(sample, { box: frameBox(sample, frame), flip: false }, size, out);
  return out;
}

/**
 * Where an object is in the framed image, and its patches, by the rule that one pixel is enough.
 *
 * @returns undefined when no pixel of it is inside the frame
 */
export function frameObject(
  sample: Sample,
  object: SceneObject,
  { frame, size, patch }: FrameOptions,
): Pick<FramedObject, "inside" | "visible"> | undefined {
  const inside = new Uint8Array(size * size);
  const cut = { box: frameBox(sample, frame), flip: false };
  const { width, height } = sample;
  const mask: Mask = { width, height, pixels: object.pixels() };
  if (drawMask(mask, cut, size, inside) === 0) return undefined;
  const side = size / patch;
  const [counts, visible] = [new Int32Array(side * side), new Uint8Array(side * side)];
  countPatches(mask, cut, { x: 0, y: 0, width, height }, size, patch, counts);
  visiblePatches(counts, side, side, patch, { rule: "any", coverage: 1, margin: 0 }, visible);
  return { inside, visible };
}

/** All that the frame shows, as an object: what stands in for one that nobody points at. */
export function wholeFrame(
  sample: Sample,
  frame: Frame,
): Pick<SceneObject, "box" | "area" | "pixels"> {
  const box = frameBox(sample, frame);
  const pixels = (): Uint8Array => new Uint8Array(sample.width * sample.height).fill(1);
  return { box, area: sample.width * sample.height, pixels };
}

/** How a network is asked for one object of an image (method: inference). */
export const modes = ["mask", "none", "crop", "blackout"] as const;
export type InferenceMode = (typeof modes)[number];

export interface ModeRule {
  /** in tables */
  readonly name: string;
  /** what it does, one clause */
  readonly meaning: string;
  /** how an object is shown, a few words behind "an object" */
  readonly shown: string;
  /** whether only the object's patches are read: by [OBJ] in every block, or by the mean of patches */
  readonly restricts: boolean;
  /** network input that an object gets of its own, [3, size, size]; without it, the framed image */
  readonly picture?: (image: FramedImage, object: FramedObject, size: number) => Uint8Array;
}

export const modeRules: Readonly<Record<InferenceMode, ModeRule>> = {
  mask: {
    name: "with mask",
    meaning: "the object’s token sees the object’s patches only",
    shown: "that its mask points at",
    restricts: true,
  },
  none: {
    name: "no mask",
    meaning: "the token sees the whole image, so objects of one image share a feature",
    shown: "somewhere in a whole image, not pointed at",
    restricts: false,
  },
  crop: {
    name: "cropped",
    meaning: "the object’s box is the whole input",
    shown: "that is cut out by its box",
    restricts: false,
    picture: cropPicture,
  },
  blackout: {
    name: "black-out",
    meaning: "everything but the object is black",
    shown: "with everything else black",
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
  drawView(sample, { box: seen.box, flip: false }, size, out);
  return out;
}

/** The framed image with bytes 0 outside the object; the object's own pixels stay what they are. */
function blackoutPicture({ pixels }: FramedImage, { inside }: FramedObject): Uint8Array {
  const plane = inside.length;
  return pixels.map((byte, at) => byte * inside[at % plane]!);
}
