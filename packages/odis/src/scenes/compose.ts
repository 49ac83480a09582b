import { ConfigError, type Rng } from "../core/index.js";
import { type Rle, rleFromMask } from "../objects/index.js";
import type { SceneOptions } from "./make.js";
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
const STARTS = 50;

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
    const solid = solidOffsets(layer, canvas);
    for (let attempt = 0; attempt < PLACES; attempt += 1) {
      const at = rng.int(0, canvas - height) * canvas + rng.int(0, canvas - width);
      if (this.mayStand(solid, at)) {
        this.own(solid, at, sprite.label);
        this.draw(layer, at, tint);
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

  /** @param at canvas position of the layer's upper left corner */
  private mayStand(solid: Int32Array, at: number): boolean {
    const hidden = new Int32Array(this.placed.length);
    for (const offset of solid) {
      const owner = this.owner[at + offset]!;
      if (owner >= 0) hidden[owner]! += 1;
    }
    const share = this.options.minVisible;
    return (
      solid.length > 0 &&
      this.placed.every(
        ({ area, inSight }, k) => hidden[k] === 0 || inSight - hidden[k]! >= share * area,
      )
    );
  }

  private own(solid: Int32Array, at: number, label: number): void {
    for (const offset of solid) {
      const before = this.owner[at + offset]!;
      if (before >= 0) this.placed[before]!.inSight -= 1;
      this.owner[at + offset] = this.placed.length;
    }
    this.placed.push({ label, area: solid.length, inSight: solid.length });
  }

  private draw({ width, height, color }: Layer, at: number, tint: readonly number[]): void {
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const from = 4 * (row * width + column);
        const to = 3 * (at + row * this.options.canvas + column);
        const behind = 1 - color[from + 3]!;
        for (let c = 0; c < 3; c += 1) {
          this.color[to + c] = this.color[to + c]! * behind + color[from + c]! * tint[c]!;
        }
      }
    }
  }
}

/** Canvas positions that a layer covers, relative to its upper left corner. */
function solidOffsets({ width, height, color }: Layer, canvas: number): Int32Array {
  const offsets = new Int32Array(width * height);
  let count = 0;
  for (let at = 0; at < width * height; at += 1) {
    if (color[4 * at + 3]! < SOLID) continue;
    offsets[count] = Math.floor(at / width) * canvas + (at % width);
    count += 1;
  }
  return offsets.subarray(0, count);
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

/** What a background is without colour and texture. */
const GRAY = 0.4;

/** Largest departure from the gradient that texture makes, at full strength. */
const TEXTURE = 0.3;

/**
 * A slow change from one colour to another in some direction, with clouds of a random size on it.
 *
 * @param strength 0 = plain grey, 1 = any colours
 * @returns side × side × 3, 0..1
 */
export function drawBackground(side: number, strength: number, rng: Rng): Float32Array {
  const color = () => [rng.uniform(), rng.uniform(), rng.uniform()];
  const [from, to] = [color(), color()];
  const angle = rng.uniform(0, 2 * Math.PI);
  const [dx, dy] = [Math.cos(angle), Math.sin(angle)];
  const clouds = valueNoise(side, rng.int(2, 12), rng);
  const texture = rng.uniform(0, TEXTURE);

  const out = new Float32Array(3 * side * side);
  for (let at = 0; at < side * side; at += 1) {
    const [x, y] = [(at % side) / side - 0.5, Math.floor(at / side) / side - 0.5];
    const share = 0.5 + (x * dx + y * dy) / Math.SQRT2; // 0..1: corners lie 1/√2 from the middle
    for (let c = 0; c < 3; c += 1) {
      const value = from[c]! + (to[c]! - from[c]!) * share + texture * clouds[at]!;
      out[3 * at + c] = GRAY + strength * (value - GRAY);
    }
  }
  return out;
}

/** Smooth noise in -1..1: random values on a grid of cells × cells, interpolated in between. */
function valueNoise(side: number, cells: number, rng: Rng): Float32Array {
  const grid = Float32Array.from({ length: (cells + 1) ** 2 }, () => rng.uniform(-1, 1));
  const out = new Float32Array(side * side);
  for (let y = 0; y < side; y += 1) {
    const [row, down] = split((y * cells) / side);
    for (let x = 0; x < side; x += 1) {
      const [column, right] = split((x * cells) / side);
      const at = row * (cells + 1) + column;
      const upper = grid[at]! + (grid[at + 1]! - grid[at]!) * right;
      const below = at + cells + 1;
      const lower = grid[below]! + (grid[below + 1]! - grid[below]!) * right;
      out[y * side + x] = upper + (lower - upper) * down;
    }
  }
  return out;
}

function split(value: number): readonly [number, number] {
  return [Math.floor(value), value - Math.floor(value)];
}
