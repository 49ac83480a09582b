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

/** Values up to here are background: Fashion-MNIST's is 0 but for traces of scaling. */
const DARK = 12;

/** Pieces smaller than this share of the largest one are specks. */
const SPECK = 0.05;

/** Spare background round the picture: one pixel to grow into, one that stays and joins all outside. */
const MARGIN = 2;

/**
 * Which pixels belong to a product that was photographed on black.
 *
 * Brighter pixels are inside, and so is everything that they enclose (dark prints, the shadow in a
 * collar); gaps of one or two pixels between them are closed, and specks are dropped.
 *
 * @param gray height × width, row-major
 * @returns height × width, 1 inside
 */
export function silhouette(gray: Uint8Array, width: number, height: number): Uint8Array {
  const [w, h] = [width + 2 * MARGIN, height + 2 * MARGIN];
  const begin = (y: number) => (y + MARGIN) * w + MARGIN;
  const inside = new Uint8Array(w * h);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) inside[begin(y) + x] = gray[y * width + x]! > DARK ? 1 : 0;
  }
  close(inside, w);
  fillHoles(inside, w, h);
  dropSpecks(inside, w, h);
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    out.set(inside.subarray(begin(y), begin(y) + width), y * width);
  }
  return out;
}

/** Adds what lies between inside pixels: everything grows by one pixel, then shrinks again. */
function close(mask: Uint8Array, width: number): void {
  const closed = grow(grow(mask, width, 1), width, 0);
  for (let at = 0; at < mask.length; at += 1) mask[at]! |= closed[at]!;
}

/** Every pixel that has `bit` takes its 8 neighbours with it. */
function grow(mask: Uint8Array, width: number, bit: 0 | 1): Uint8Array {
  const out = mask.slice();
  for (let at = 0; at < mask.length; at += 1) {
    if (mask[at] !== bit) continue;
    for (let row = at - width; row <= at + width; row += width) {
      out[row - 1] = bit; // writes before the first or after the last pixel have no effect
      out[row] = bit;
      out[row + 1] = bit;
    }
  }
  return out;
}

/** The piece of background that holds the corner is outside; every other one is a hole. */
function fillHoles(mask: Uint8Array, width: number, height: number): void {
  const [outside] = pieces(mask, width, height, 0);
  mask.fill(1);
  for (const at of outside!) mask[at] = 0;
}

function dropSpecks(mask: Uint8Array, width: number, height: number): void {
  const all = pieces(mask, width, height, 1);
  const largest = Math.max(0, ...all.map((piece) => piece.length));
  for (const piece of all) {
    if (piece.length < SPECK * largest) for (const at of piece) mask[at] = 0;
  }
}

/** Groups of 4-connected pixels that have `bit`, in the order of their first pixels. */
function pieces(mask: Uint8Array, width: number, height: number, bit: 0 | 1): number[][] {
  const open = mask.map((value) => (value === bit ? 1 : 0));
  const found: number[][] = [];
  for (let start = 0; start < mask.length; start += 1) {
    if (open[start] === 0) continue;
    const piece: number[] = [];
    const visit = (at: number) => {
      if (open[at] === 0) return;
      open[at] = 0;
      piece.push(at);
    };
    visit(start);
    for (let next = 0; next < piece.length; next += 1) {
      const at = piece[next]!;
      const x = at % width;
      if (x > 0) visit(at - 1);
      if (x < width - 1) visit(at + 1);
      if (at >= width) visit(at - width);
      if (at < width * (height - 1)) visit(at + width);
    }
    found.push(piece);
  }
  return found;
}
