import { type ColorStep, countPatches, drawMask, drawView, type Mask } from "@odis/torch/images";
import type { Sample } from "../data/index.js";
import { type Box, drawFrom, rleFromMask, type SceneObject } from "../objects/index.js";
import { type Frame, frameBox, visiblePatches } from "../portable/index.js";

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
  readonly sample: Sample;
  /** [3, size, size] */
  readonly pixels: Uint8Array;
  /** at least one */
  readonly objects: readonly FramedObject[];
  /** where `pixels` show another part of the picture than the frame */
  readonly window?: Window | undefined;
}

/** One of several parts of a picture that are looked at in turn. */
export interface Window {
  readonly box: Box;
  /** how its colours are changed; default: not at all */
  readonly steps?: readonly ColorStep[] | undefined;
  readonly index: number;
  /** how many the picture has */
  readonly of: number;
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

/** @returns [3, size, size] */
export function framePixels(sample: Sample, { frame, size }: FrameOptions): Uint8Array {
  return boxPixels(sample, frameBox(sample, frame), size);
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
  return objectIn(sample, object, frameBox(sample, frame), { size, patch });
}

/** Where an object is in a part of its image; see {@link frameObject}. */
function objectIn(
  sample: Sample,
  object: SceneObject,
  box: Box,
  { size, patch }: Pick<FrameOptions, "size" | "patch">,
): Pick<FramedObject, "inside" | "visible"> | undefined {
  const inside = new Uint8Array(size * size);
  const cut = { box, flip: false };
  const { width, height } = sample;
  const mask: Mask = { width, height, pixels: object.pixels() };
  if (drawMask(mask, cut, size, inside) === 0) return undefined;
  const side = size / patch;
  const [counts, visible] = [new Int32Array(side * side), new Uint8Array(side * side)];
  countPatches(
    object.pixels.runs ?? rleFromMask(mask.pixels, width, height),
    cut,
    size,
    patch,
    counts,
  );
  visiblePatches(counts, side, side, patch, { rule: "any", coverage: 1, margin: 0 }, visible);
  return { inside, visible };
}

/** All that the frame shows, as an object: what stands in for one that nobody points at. */
export function wholeFrame(
  sample: Sample,
  frame: Frame,
): Pick<SceneObject, "box" | "area" | "pixels"> {
  const { width, height } = sample;
  const area = width * height;
  const runs = { width, height, counts: Uint32Array.of(0, area) };
  return { box: frameBox(sample, frame), area, pixels: drawFrom(runs) };
}

/** How a network is asked for one object of an image (method: inference). */
export const modes = ["mask", "none", "crop", "blackout", "crop-mask", "isolated"] as const;
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
  /** who else is restricted then, in every block; without it, as the network was trained */
  readonly attention?: "isolated";
  /** network input that an object gets of its own; without it, the framed image */
  readonly input?: (
    image: FramedImage,
    object: FramedObject,
    options: Pick<FrameOptions, "size" | "patch">,
  ) => OwnInput;
}

/** A picture of one object. */
export interface OwnInput {
  /** [3, size, size] */
  readonly pixels: Uint8Array;
  /** [N], 1 = the patch belongs to the object; of modes that restrict */
  readonly visible?: Uint8Array;
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
    input: cropInput,
  },
  blackout: {
    name: "black-out",
    meaning: "everything but the object is black",
    shown: "with everything else black",
    restricts: false,
    input: blackoutInput,
  },
  "crop-mask": {
    name: "crop + mask",
    meaning:
      "the object’s box is the whole input, of which the token sees the object’s patches only",
    shown: "that is cut out by its box and pointed at by its mask",
    restricts: true,
    input: cropMaskInput,
  },
  // Asks for no other network: also those see objects better so that were trained with masks alone.
  isolated: {
    name: "isolated",
    meaning:
      "the object’s token and its patches see these patches only, in every block, so that nothing around it counts",
    shown: "that its mask points at, with nothing around it",
    restricts: true,
    attention: "isolated",
  },
};

/**
 * The object's bounding box in the original image, without a margin, squeezed to the square input
 * as frame `whole` squeezes an image. What the frame cuts off an object is in its crop.
 */
function cropInput(
  { sample }: FramedImage,
  { seen }: FramedObject,
  { size }: Pick<FrameOptions, "size">,
): OwnInput {
  return { pixels: boxPixels(sample, seen.box, size) };
}

/** The framed image with bytes 0 outside the object; the object's own pixels stay what they are. */
function blackoutInput({ pixels }: FramedImage, { inside }: FramedObject): OwnInput {
  const plane = inside.length;
  return { pixels: pixels.map((byte, at) => byte * inside[at % plane]!) };
}

/**
 * The object's box, and its patches in there. What a mask changes when the object is shown as
 * large as in a crop: in the whole image it is smaller, and lies on the patches as it happens to.
 */
function cropMaskInput(
  { sample }: FramedImage,
  { seen }: FramedObject,
  options: Pick<FrameOptions, "size" | "patch">,
): OwnInput {
  const { size, patch } = options;
  // An object too thin to be drawn is all that there is to see.
  const visible =
    objectIn(sample, seen, seen.box, options)?.visible ??
    new Uint8Array((size / patch) ** 2).fill(1);
  return { pixels: boxPixels(sample, seen.box, size), visible };
}

/** A part of an image as network input, [3, size, size]; colours are changed last. */
export function boxPixels(
  sample: Sample,
  box: Box,
  size: number,
  steps: readonly ColorStep[] = [],
): Uint8Array {
  const out = new Uint8Array(3 * size * size);
  drawView(sample, { box, flip: false }, size, out, steps);
  return out;
}
