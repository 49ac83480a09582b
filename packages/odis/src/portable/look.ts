import type { Picture } from "@odis/torch/images";
import { frameBox, type Size } from "./geometry.js";
import { patchCounts, visiblePatches } from "./patches.js";
import { resampleBicubic, resampleNearest } from "./resample.js";
import type { LookOptions } from "./wire.js";

/**
 * A picture as the network's input, as `Teacher` makes it: framed, resized by Pillow's antialiased
 * bicubic to bytes, then normalised.
 *
 * @returns [3, size, size]
 */
export function networkInput(
  picture: Picture,
  { frame, size, mean, std }: LookOptions,
): Float32Array {
  const bytes = new Uint8Array(3 * size * size);
  resampleBicubic(picture, { box: frameBox(picture, frame), flip: false }, size, bytes);
  const plane = size * size;
  return Float32Array.from(bytes, (byte, at) => {
    const channel = Math.floor(at / plane);
    return (byte / 255 - mean[channel]!) / std[channel]!;
  });
}

/**
 * The patches that an object covers, by the rule that one pixel is enough.
 *
 * @param mask [height × width] of the picture, 0 or 1
 * @returns [N], or undefined when no pixel of it is inside the frame
 */
export function patchesOf(
  mask: Uint8Array,
  picture: Size,
  { frame, size, patch }: Pick<LookOptions, "frame" | "size" | "patch">,
): Uint8Array | undefined {
  const inside = new Uint8Array(size * size);
  const cut = { box: frameBox(picture, frame), flip: false };
  if (resampleNearest(mask, picture.width, cut, size, inside) === 0) return undefined;
  const side = size / patch;
  const visible = new Uint8Array(side * side);
  const any = { rule: "any", coverage: 1, margin: 0 } as const;
  visiblePatches(patchCounts(inside, size, size, patch), side, side, patch, any, visible);
  return visible;
}
