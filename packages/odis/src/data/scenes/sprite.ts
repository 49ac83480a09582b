/** A cut-out thing, trimmed to its silhouette. */
export interface Sprite {
  readonly width: number;
  readonly height: number;
  /** height × width × 4, row-major; the last channel is opacity: 255 inside, 0 outside */
  readonly rgba: Uint8Array;
  /** index into the source's classes */
  readonly label: number;
}

/** Things to place in scenes. `read` is pure: the same index gives the same sprite. */
export interface SpriteSource {
  readonly size: number;
  readonly classes: readonly string[];
  read(index: number): Promise<Sprite>;
}

/** Sprites for training and for testing never share a thing. */
export interface SpriteSplits {
  readonly train: SpriteSource;
  readonly test: SpriteSource;
}

/** Cuts away the empty margin. @returns the sprite unchanged if it is empty */
export function trim(sprite: Sprite): Sprite {
  const { width, height, rgba } = sprite;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < width * height; at += 1) {
    if (rgba[4 * at + 3] === 0) continue;
    const [x, y] = [at % width, Math.floor(at / width)];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
  }
  if (right < 0) return sprite;
  const [w, h] = [right - left + 1, bottom - top + 1];
  const cut = new Uint8Array(4 * w * h);
  for (let y = 0; y < h; y += 1) {
    const begin = 4 * ((top + y) * width + left);
    cut.set(rgba.subarray(begin, begin + 4 * w), 4 * w * y);
  }
  return { width: w, height: h, rgba: cut, label: sprite.label };
}
