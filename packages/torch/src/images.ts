/**
 * Image arithmetic on bytes in host memory, bit for bit Pillow's, without LibTorch: worker threads load it
 * in milliseconds. Arrays may lie in shared memory; nothing is copied and no thread is started.
 *
 * Every function throws a RangeError that names the argument when arrays, sizes and places do not fit each
 * other, and an EngineError when the addon is not built.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { type AddonPlan, buildCommand, planImages, planJpeg } from "./build-plan.js";
import { EngineError } from "./errors.js";

export { buildCommand, jpegInstallLine } from "./build-plan.js";

/** A picture, or what is needed of it to cut views out. */
export interface Picture {
  /** pixels, up to 65536 */
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major */
  readonly rgb: Uint8Array;
}

/** A mask on a picture's pixel grid. */
export interface Mask {
  readonly width: number;
  readonly height: number;
  /** height × width, row-major, 0/1 */
  readonly pixels: Uint8Array;
}

/** A mask as run lengths: column by column, pixels outside, inside, outside, ...; the first may be 0. */
export interface Runs {
  readonly width: number;
  readonly height: number;
  /** sum to width × height */
  readonly counts: Uint32Array;
}

/** A rectangle of whole pixels: columns x..x+width-1, rows y..y+height-1. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Where a view looks in its picture, and whether it is mirrored left to right. */
export interface Cut {
  readonly box: Rectangle;
  readonly flip: boolean;
}

/** What {@link recolor} can do; the order is the addon's. */
export const colorChanges = [
  "brightness",
  "contrast",
  "saturation",
  "hue",
  "gray",
  "blur",
  "solarize",
] as const;

/**
 * One photometric change. The amount is a factor (1 leaves the view as it is) for brightness, contrast and
 * saturation, the turn of the colour circle in [-.5, .5] for hue, the standard deviation in pixels for blur,
 * the threshold for solarize; gray has none.
 */
export interface ColorStep {
  readonly change: (typeof colorChanges)[number];
  readonly amount: number;
}

/** The functions of the addon. */
interface Images {
  draw(
    rgb: Uint8Array,
    width: number,
    height: number,
    x: number,
    y: number,
    boxWidth: number,
    boxHeight: number,
    flip: boolean,
    size: number,
    out: Uint8Array,
    steps: Float64Array,
  ): void;
  recolor(pixels: Uint8Array, size: number, steps: Float64Array): void;
  nearest(
    mask: Uint8Array,
    width: number,
    height: number,
    x: number,
    y: number,
    boxWidth: number,
    boxHeight: number,
    flip: boolean,
    size: number,
    out: Uint8Array,
  ): number;
  patches(
    runs: Uint32Array,
    width: number,
    height: number,
    x: number,
    y: number,
    boxWidth: number,
    boxHeight: number,
    flip: boolean,
    size: number,
    patch: number,
    counts: Int32Array,
  ): number;
  reduce(
    rgb: Uint8Array,
    width: number,
    height: number,
    columns: number,
    rows: number,
    out: Uint8Array,
  ): void;
}

/** The functions of the decoder's addon. */
interface Jpeg {
  /** which library it decodes with */
  readonly library: string;
  size(file: Uint8Array): readonly [number, number] | null;
  decode(file: Uint8Array, to: Uint8Array): boolean;
}

const require = createRequire(import.meta.url);

function load(plan: AddonPlan): unknown {
  const { title, addon } = plan;
  if (!existsSync(addon)) {
    throw new EngineError(
      `The ${title} is not built, or its sources have changed since. ` +
        `Build it with: ${buildCommand}`,
    );
  }
  try {
    return require(addon);
  } catch (error) {
    throw new EngineError(
      `The ${title} at ${addon} does not load: ${(error as Error).message}. ` +
        `Remove its folder and build it again with: ${buildCommand}`,
      { cause: error },
    );
  }
}

let loadedImages: Images | undefined;

function images(): Images {
  loadedImages ??= load(planImages()) as Images;
  return loadedImages;
}

/** `null`: there is none on this machine. */
let loadedJpeg: Jpeg | null | undefined;

function jpeg(): Jpeg | null {
  if (loadedJpeg === undefined) {
    const plan = planJpeg();
    loadedJpeg = plan ? (load(plan) as Jpeg) : null;
  }
  return loadedJpeg;
}

/** The library behind {@link decodeJpeg}, e.g. "libjpeg-turbo 2.1.5"; undefined without libjpeg's headers. */
export function jpegLibrary(): string | undefined {
  return jpeg()?.library;
}

/** Gives memory of so many bytes, whatever is in it. */
export type Allocate = (bytes: number) => Uint8Array;

const fresh: Allocate = (bytes) => Buffer.allocUnsafeSlow(bytes);

/**
 * Decodes a JPEG of grey or RGB: values as stored (profiles and EXIF are not looked at), grey repeated, with the
 * transform and the upsampling that Pillow and libvips use, so to the same pixels.
 *
 * @param largest pixels; a larger picture is not decoded
 * @param allocate asked for the picture's memory; default: fresh memory
 * @returns undefined for everything that is not a plain, whole and faultless JPEG, and on machines where
 *   {@link jpegLibrary} is undefined: another decoder has the last word
 */
export function decodeJpeg(
  file: Uint8Array,
  largest: number,
  allocate = fresh,
): Picture | undefined {
  const decoder = jpeg();
  const size = decoder?.size(file);
  if (!decoder || !size || size[0] * size[1] > largest) return undefined;
  const [width, height] = size;
  const rgb = allocate(3 * width * height);
  return decoder.decode(file, rgb) ? { width, height, rgb } : undefined;
}

/**
 * Cuts the box out, then resizes the cut-out to size × size (nothing from outside the box leaks in), then
 * mirrors it: the antialiased bicubic of Pillow 9.4 (13.0 differs in places). Then the photometric changes.
 *
 * @param out planar, 3 × size × size, overwritten
 */
export function drawView(
  { width, height, rgb }: Picture,
  { box, flip }: Cut,
  size: number,
  out: Uint8Array,
  steps: readonly ColorStep[] = [],
): void {
  const { x, y } = box;
  images().draw(rgb, width, height, x, y, box.width, box.height, flip, size, out, packed(steps));
}

/**
 * Photometric changes one after the other, in place, bit for bit what Pillow and torchvision give.
 *
 * @param pixels planar, 3 × size × size
 */
export function recolor(pixels: Uint8Array, size: number, steps: readonly ColorStep[]): void {
  images().recolor(pixels, size, packed(steps));
}

/** Pairs of which change and how much. */
function packed(steps: readonly ColorStep[]): Float64Array {
  const pairs = new Float64Array(2 * steps.length);
  for (const [index, { change, amount }] of steps.entries()) {
    pairs[2 * index] = colorChanges.indexOf(change);
    pairs[2 * index + 1] = amount;
  }
  return pairs;
}

/**
 * A mask under the same cut, resize and mirroring, by nearest neighbour.
 *
 * @param out size × size, overwritten
 * @returns how many pixels of the view are set
 */
export function drawMask(
  { width, height, pixels }: Mask,
  { box, flip }: Cut,
  size: number,
  out: Uint8Array,
): number {
  const { x, y } = box;
  return images().nearest(pixels, width, height, x, y, box.width, box.height, flip, size, out);
}

/**
 * How many pixels of each patch would be set in the view that {@link drawMask} draws, without drawing it.
 *
 * @param patch side of a patch, divides `size`
 * @param counts (size / patch)², row-major, overwritten
 * @returns their sum
 */
export function countPatches(
  { width, height, counts: runs }: Runs,
  { box, flip }: Cut,
  size: number,
  patch: number,
  counts: Int32Array,
): number {
  const { x, y } = box;
  return images().patches(
    runs,
    width,
    height,
    x,
    y,
    box.width,
    box.height,
    flip,
    size,
    patch,
    counts,
  );
}

/**
 * Makes a picture smaller by a whole number along each side: each pixel is the mean of a block of pixels, at the
 * right and lower edge of what there is of it. Pillow's `Image.reduce`.
 *
 * @param block columns and rows of a block, not more than the picture has
 * @param out row-major, height × width × 3 with sides rounded up, overwritten
 */
export function reducePicture(
  { width, height, rgb }: Picture,
  [columns, rows]: readonly [columns: number, rows: number],
  out: Uint8Array,
): void {
  images().reduce(rgb, width, height, columns, rows, out);
}
