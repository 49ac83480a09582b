import type { Sprite } from "./sprite.js";

/** A sprite at its final size, ready to be laid over a scene. */
export interface Layer {
  readonly width: number;
  readonly height: number;
  /** height × width × 4: red, green, blue times opacity, and opacity; each 0..1 */
  readonly color: Float32Array;
}

/**
 * Triangle filter, widened when the sprite shrinks, so that edges are smooth at every size. Colours
 * are weighted by opacity: what lies outside the silhouette never shines through.
 */
export function resize(sprite: Sprite, width: number, height: number): Layer {
  const opaque = new Float32Array(4 * sprite.width * sprite.height);
  for (let at = 0; at < opaque.length; at += 4) {
    const alpha = sprite.rgba[at + 3]! / 255;
    for (let c = 0; c < 3; c += 1) opaque[at + c] = (sprite.rgba[at + c]! / 255) * alpha;
    opaque[at + 3] = alpha;
  }
  const wide = resizeRows(opaque, sprite.width, sprite.height, width);
  return { width, height, color: resizeRows(wide, sprite.height, width, height) };
}

/** The sprite with a longer side of at most so many pixels. */
export function shrink(sprite: Sprite, longest: number): Sprite {
  const factor = longest / Math.max(sprite.width, sprite.height);
  if (factor >= 1) return sprite;
  const [width, height] = [sprite.width, sprite.height].map((side) =>
    Math.max(1, Math.round(side * factor)),
  ) as [number, number];
  const { color } = resize(sprite, width, height);
  const rgba = new Uint8Array(color.length);
  for (let at = 0; at < color.length; at += 4) {
    const opacity = color[at + 3]!;
    rgba[at + 3] = Math.round(255 * opacity);
    if (rgba[at + 3] === 0) continue; // no colour to speak of
    for (let c = 0; c < 3; c += 1) rgba[at + c] = Math.round((255 * color[at + c]!) / opacity);
  }
  return { width, height, rgba, label: sprite.label };
}

/**
 * Resizes the rows and turns the picture over its diagonal; twice is a resize of both sides.
 *
 * @param source rows × length × 4
 * @returns wanted × rows × 4
 */
function resizeRows(source: Float32Array, length: number, rows: number, wanted: number) {
  const out = new Float32Array(4 * wanted * rows);
  const step = length / wanted;
  const reach = Math.max(1, step);
  for (let to = 0; to < wanted; to += 1) {
    const center = (to + 0.5) * step;
    const first = Math.max(0, Math.floor(center - reach));
    const last = Math.min(length - 1, Math.ceil(center + reach) - 1);
    const weights: number[] = [];
    for (let from = first; from <= last; from += 1) {
      weights.push(Math.max(0, 1 - Math.abs(from + 0.5 - center) / reach));
    }
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let row = 0; row < rows; row += 1) {
      let [red, green, blue, opacity] = [0, 0, 0, 0];
      let from = 4 * (row * length + first);
      for (let k = 0; k < weights.length; k += 1, from += 4) {
        const weight = weights[k]!;
        red += source[from]! * weight;
        green += source[from + 1]! * weight;
        blue += source[from + 2]! * weight;
        opacity += source[from + 3]! * weight;
      }
      const at = 4 * (to * rows + row);
      out[at] = red / sum;
      out[at + 1] = green / sum;
      out[at + 2] = blue / sum;
      out[at + 3] = opacity / sum;
    }
  }
  return out;
}
