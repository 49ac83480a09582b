import type { Rng } from "../core/index.js";
import type { HiddenConfig } from "./config.js";

/** How often a place for one block is sought before the view stays as it is. */
const TRIES = 10;

/**
 * Chooses the patches that the student must guess (masked-image modelling), as iBOT does: first
 * the share to hide is drawn, then rectangles are added until it is reached or nothing fits.
 * A rectangle may add no more than what is missing, so views stop a little short of their share.
 *
 * @param out [rows, columns], overwritten: 1 = hidden
 * @returns how many are hidden
 */
export function hidePatches(
  config: HiddenConfig,
  rows: number,
  columns: number,
  rng: Rng,
  out: Uint8Array,
): number {
  out.fill(0);
  const wanted = drawRatio(config, rng) * rows * columns;
  if (config.shape === "random") {
    out.fill(1, 0, Math.trunc(wanted));
    shuffle(out, rng);
    return Math.trunc(wanted);
  }
  let hidden = 0;
  while (hidden < wanted) {
    const added = addBlock(config.aspect, rows, columns, wanted - hidden, rng, out);
    if (added === 0) break;
    hidden += added;
  }
  return hidden;
}

/** One entry by equal chance, each uniform within its variance. */
function drawRatio({ ratio, variance }: HiddenConfig, rng: Rng): number {
  const entry = rng.int(0, ratio.length - 1);
  const mean = ratio[entry]!;
  const spread = variance[entry]!;
  return rng.uniform(mean - spread, mean + spread);
}

/**
 * Hides one rectangle that adds between 1 and `missing` patches; area uniform between a ninth of
 * the smaller side squared and what is missing, aspect (height over width) log-uniform.
 *
 * @returns how many patches it added; 0 when no try fitted
 */
function addBlock(
  aspect: readonly [number, number],
  rows: number,
  columns: number,
  missing: number,
  rng: Rng,
  out: Uint8Array,
): number {
  const least = Math.floor(Math.min(rows, columns) / 3) ** 2;
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const area = rng.uniform(least, missing);
    const ratio = Math.exp(rng.uniform(Math.log(aspect[0]), Math.log(aspect[1])));
    const height = Math.round(Math.sqrt(area * ratio));
    const width = Math.round(Math.sqrt(area / ratio));
    if (height >= rows || width >= columns) continue;
    const top = rng.int(0, rows - height);
    const left = rng.int(0, columns - width);
    let added = 0;
    for (let y = top; y < top + height; y += 1) {
      for (let at = y * columns + left; at < y * columns + left + width; at += 1) {
        added += 1 - out[at]!;
      }
    }
    if (added === 0 || added > missing) continue;
    for (let y = top; y < top + height; y += 1) {
      out.fill(1, y * columns + left, y * columns + left + width);
    }
    return added;
  }
  return 0;
}

function shuffle(items: Uint8Array, rng: Rng): void {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = rng.int(0, i);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}
