import type { Tensor } from "@odis/torch";
import { drawViews } from "../augment/index.js";
import type { Batch } from "../batches/index.js";
import { normalise, standardise } from "../model/index.js";

/** Network inputs [V * B, 3, S, S] of each kind of views; where the device draws them, of pictures sent once. */
export function viewImages(
  kinds: readonly (Batch["local"] | Batch["global"])[],
  B: number,
  device: string,
): Tensor[] {
  const undrawn = kinds.flatMap(({ pixels, size }) =>
    "plans" in pixels ? [{ ...pixels, size }] : [],
  );
  if (undrawn[0]) return drawViews(undrawn[0].pictures, undrawn, device).map(standardise);
  return kinds.flatMap(({ pixels, views, size }) =>
    "plans" in pixels ? [] : [normalise(pixels, [views * B, 3, size, size], device)],
  );
}
