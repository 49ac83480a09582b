/** A rectangle of whole pixels: columns x..x+width-1, rows y..y+height-1. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Which part of an image an evaluation looks at. `whole`: everything, squeezed to a square, so that
 * no object is lost. `center`: the published protocol's square, the middle 224/256 of the short
 * side. The published code resizes before it cuts; here the square is cut first, on whole pixels of
 * the image, so its edges differ from the published ones by less than a pixel of the image.
 */
export const frames = ["whole", "center"] as const;
export type Frame = (typeof frames)[number];

/** The square of the original image that an evaluation looks at. */
export function frameBox({ width, height }: Size, frame: Frame): Box {
  if (frame === "whole") return { x: 0, y: 0, width, height };
  const side = Math.max(1, Math.round((Math.min(width, height) * 224) / 256));
  return {
    x: Math.round((width - side) / 2),
    y: Math.round((height - side) / 2),
    width: side,
    height: side,
  };
}

/** Where patches lie in a picture. */
export interface PatchGrid {
  /** patches in a row, and in a column */
  readonly side: number;
  /** pixels of the picture */
  readonly box: Box;
}

/** Row of the patch that a pixel of a picture is in; of one outside of the frame, the nearest. */
export function patchAt({ side, box }: PatchGrid, x: number, y: number): number {
  const cell = (at: number, from: number, length: number): number =>
    Math.max(0, Math.min(side - 1, Math.floor(((at - from) * side) / length)));
  return cell(y, box.y, box.height) * side + cell(x, box.x, box.width);
}

/** Those pixels of a picture that are in a box of whole pixels: [height × width], 0 or 1. */
export function boxMask({ x, y, width, height }: Box, size: Size): Uint8Array {
  const bits = new Uint8Array(size.width * size.height);
  const [left, right] = [Math.max(0, x), Math.max(0, Math.min(size.width, x + width))];
  const end = Math.min(size.height, y + height);
  if (left < right)
    for (let row = Math.max(0, y); row < end; row += 1)
      bits.fill(1, row * size.width + left, row * size.width + right);
  return bits;
}
