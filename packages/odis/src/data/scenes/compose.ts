import { ConfigError } from "../../errors.js";
import { type Rle, rleFromMask } from "../../objects/rle.js";
import type { Rng } from "../../rng.js";
import { drawBackground } from "./background.js";
import type { SceneOptions } from "./options.js";
import { type Layer, resize } from "./resize.js";
import type { Sprite, SpriteSource } from "./sprite.js";

export interface Scene {
  /** canvas × canvas × 3 */
  readonly rgb: Uint8Array;
  /** from the farthest to the nearest; masks are what is in sight */
  readonly objects: readonly { readonly label: number; readonly rle: Rle }[];
}

/** Places to try for one object, and scenes to start over. */
const PLACES = 20;
const STARTS = 200;

/** From this opacity on, a pixel belongs to the object. */
const SOLID = 0.5;

/**
 * Puts objects on a background, each new one before the others. A place that would hide too much
 * of an earlier object is given up for another.
 *
 * @throws ConfigError if the options leave no room for so many objects
 */
export async function composeScene(
  sprites: SpriteSource,
  options: SceneOptions,
  rng: Rng,
): Promise<Scene> {
  const [fewest, most] = options.objects;
  for (let start = 0; start < STARTS; start += 1) {
    const canvas = new Canvas(options, rng);
    const wanted = rng.int(fewest, most);
    for (let k = 0; k < wanted; k += 1) {
      canvas.add(await sprites.read(rng.int(0, sprites.size - 1)), rng);
    }
    if (canvas.count >= fewest) return canvas.finish(rng);
  }
  throw new ConfigError(
    `scenes.objects: ${fewest} objects of scale ${options.scale.join(" to ")} do not fit into one ` +
      `scene with minVisible ${options.minVisible}; wanted fewer, smaller or more hidden ones`,
  );
}

class Canvas {
  private readonly color: Float32Array;
  /** per pixel: the object in sight, -1 for none */
  private readonly owner: Int16Array;
  private readonly placed: { readonly label: number; readonly area: number; inSight: number }[] =
    [];

  constructor(
    private readonly options: SceneOptions,
    rng: Rng,
  ) {
    this.color = drawBackground(options.canvas, options.background, rng);
    this.owner = new Int16Array(options.canvas ** 2).fill(-1);
  }

  get count(): number {
    return this.placed.length;
  }

  /** Places the sprite where it may stand; leaves it out if no such place is found. */
  add(sprite: Sprite, rng: Rng): void {
    const { canvas, scale } = this.options;
    const tint = drawTint(this.options.tint, rng);
    const factor = (rng.uniform(...scale) * canvas) / Math.max(sprite.width, sprite.height);
    const width = Math.max(1, Math.round(sprite.width * factor));
    const height = Math.max(1, Math.round(sprite.height * factor));
    const layer = resize(sprite, width, height);
    for (let attempt = 0; attempt < PLACES; attempt += 1) {
      const x = rng.int(0, canvas - width);
      const y = rng.int(0, canvas - height);
      if (this.mayStand(layer, x, y)) {
        this.draw(layer, x, y, sprite.label, tint);
        return;
      }
    }
  }

  finish(rng: Rng): Scene {
    const { canvas, noise } = this.options;
    // A uniform number's deviation is its half-width / √3. Marsaglia's xorshift is plenty for grain
    // and ten times faster than the stream that it starts from.
    const spread = (noise * Math.sqrt(3)) / 2 ** 31;
    let grain = rng.int(1, 2 ** 31 - 1);
    const rgb = new Uint8Array(this.color.length);
    for (let at = 0; at < canvas ** 2; at += 1) {
      grain ^= grain << 13;
      grain ^= grain >>> 17;
      grain ^= grain << 5;
      const light = 255 * grain * spread + 0.5;
      for (let c = 3 * at; c < 3 * at + 3; c += 1) {
        rgb[c] = Math.min(255, Math.max(0, 255 * this.color[c]! + light)); // storing cuts to a byte
      }
    }
    const objects = this.placed.map(({ label }, index) => {
      const mask = new Uint8Array(this.owner.length);
      for (let at = 0; at < mask.length; at += 1) mask[at] = this.owner[at] === index ? 1 : 0;
      return { label, rle: rleFromMask(mask, canvas, canvas) };
    });
    return { rgb, objects };
  }

  private mayStand(layer: Layer, x: number, y: number): boolean {
    const hidden = new Int32Array(this.placed.length);
    let area = 0;
    for (const at of this.solid(layer, x, y)) {
      area += 1;
      const owner = this.owner[at]!;
      if (owner >= 0) hidden[owner]! += 1;
    }
    return (
      area > 0 &&
      this.placed.every(
        (other, k) =>
          hidden[k] === 0 || other.inSight - hidden[k]! >= this.options.minVisible * other.area,
      )
    );
  }

  private draw(layer: Layer, x: number, y: number, label: number, tint: readonly number[]): void {
    const pixels = this.solid(layer, x, y);
    for (const at of pixels) {
      const before = this.owner[at]!;
      if (before >= 0) this.placed[before]!.inSight -= 1;
      this.owner[at] = this.placed.length;
    }
    this.placed.push({ label, area: pixels.length, inSight: pixels.length });

    for (let row = 0; row < layer.height; row += 1) {
      for (let column = 0; column < layer.width; column += 1) {
        const from = 4 * (row * layer.width + column);
        const to = 3 * ((y + row) * this.options.canvas + x + column);
        const behind = 1 - layer.color[from + 3]!;
        for (let c = 0; c < 3; c += 1) {
          this.color[to + c] = this.color[to + c]! * behind + layer.color[from + c]! * tint[c]!;
        }
      }
    }
  }

  /** Canvas positions that the layer covers. */
  private solid(layer: Layer, x: number, y: number): number[] {
    const found: number[] = [];
    for (let at = 0; at < layer.width * layer.height; at += 1) {
      if (layer.color[4 * at + 3]! < SOLID) continue;
      const row = y + Math.floor(at / layer.width);
      found.push(row * this.options.canvas + x + (at % layer.width));
    }
    return found;
  }
}

/** Factors for red, green and blue: a pure hue, paled; at strength 0 all are 1. */
function drawTint(strength: number, rng: Rng): readonly number[] {
  const hue = rng.uniform(0, 6);
  const saturation = strength * rng.uniform();
  return [0, 2, 4].map((offset) => {
    const distance = Math.min(Math.abs(hue - offset), 6 - Math.abs(hue - offset));
    return 1 - saturation * (1 - Math.min(1, Math.max(0, 2 - distance)));
  });
}
