import type { Rng } from "../../rng.js";

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
