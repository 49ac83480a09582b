import { type Rle, rleFromMask, type SceneObject } from "../objects/index.js";

/** A picture to look for objects in: height × width × 3, row-major. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** x0, y0, x1, y1 in pixels of the picture; fractions allowed. */
export type Corners = readonly [x0: number, y0: number, x1: number, y1: number];

/** One thing that somebody found in a picture. */
export interface Found {
  /** how sure, 0..1 */
  readonly score: number;
  /** index into the finder's classes, or -1 */
  readonly label: number;
  /** as it was found; whoever gives no mask of its own is taken at its box */
  readonly box?: Corners;
  readonly mask?: Rle;
}

/** What is known of a picture before anybody looks for objects in it. */
export interface Query {
  /** names the picture in errors */
  readonly key: string;
  /** boxes that somebody else found, for networks that draw the mask in a box */
  readonly prompts?: readonly Corners[];
  /** what people drew, for makers that run beside the data */
  readonly annotated?: Annotated;
}

export interface Annotated {
  readonly objects: readonly SceneObject[];
  /** names of their labels */
  readonly classes: readonly string[];
}

/** What looks for objects in pictures. */
export interface Finder {
  /** names of the labels, empty where nothing is labelled */
  readonly classes: readonly string[];
  /** @throws BadImageError for a picture with which it does not get on */
  find(picture: Picture, query: Query): Promise<Found[]>;
}

/** A window of a picture in which a mask lies. */
export interface Window {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/**
 * The mask of the pixels of a window at which a map is above a limit.
 *
 * @param values row-major, one for each pixel of the window
 */
export function maskAbove(
  values: ArrayLike<number>,
  limit: number,
  window: Window,
  { width, height }: Pick<Picture, "width" | "height">,
): Rle {
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < window.height; y += 1) {
    const from = y * window.width;
    const to = (window.y + y) * width + window.x;
    for (let x = 0; x < window.width; x += 1) if (values[from + x]! > limit) pixels[to + x] = 1;
  }
  return rleFromMask(pixels, width, height);
}

/** The pixels whose numbers lie in [x0, x1) and [y0, y1), inside of the picture. */
export function windowOf(
  [x0, y0, x1, y1]: Corners,
  { width, height }: Pick<Picture, "width" | "height">,
): Window {
  const [left, right] = [firstInside(x0, width), firstInside(x1, width)];
  const [top, bottom] = [firstInside(y0, height), firstInside(y1, height)];
  return { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
}

function firstInside(position: number, limit: number): number {
  return Math.min(Math.max(Math.ceil(position), 0), limit);
}
