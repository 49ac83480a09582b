/** A rectangle of whole pixels: columns x..x+width-1, rows y..y+height-1. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** One thing in an image, as a pixel mask. A box that came without a mask is a filled mask. */
export interface SceneObject {
  /** Stable within one image: the same object in every view of it. */
  readonly id: number;
  /** Index into the source's classes, or -1 where the class is unknown. */
  readonly label: number;
  /** Number of mask pixels. */
  readonly area: number;
  /** The smallest box round the mask; all zero for an empty mask. */
  readonly box: Box;
  /** The mask, row-major, height × width, 1 inside; a fresh array at each call. */
  pixels(): Uint8Array;
}
