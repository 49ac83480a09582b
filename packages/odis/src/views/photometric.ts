import type { Rng } from "../rng.js";
import { blur } from "./blur.js";
import { grayscale, jitter, jitterSteps, solarize } from "./color.js";
import type { ColorConfig } from "./config.js";

/** Which of the method's three colour chains a view goes through. */
export type ViewKind = "first" | "other" | "local";

/**
 * Changes a view's colours at random, in place, in the published order: jitter (its four steps in
 * random order), grey, blur, solarise.
 *
 * @param pixels planar, 3 × size × size
 */
export function changeColors(
  pixels: Uint8Array,
  size: number,
  config: ColorConfig,
  kind: ViewKind,
  rng: Rng,
): void {
  if (rng.bool(config.jitter.p)) {
    for (const index of rng.permutation(jitterSteps.length)) {
      const step = jitterSteps[index]!;
      const strength = config.jitter[step];
      const neutral = step === "hue" ? 0 : 1;
      if (strength > 0) {
        jitter(pixels, step, rng.uniform(neutral - strength, neutral + strength));
      }
    }
  }
  if (rng.bool(config.gray)) grayscale(pixels);
  const [first, other, local] = config.blur.p;
  const blurs = { first, other, local };
  if (rng.bool(blurs[kind])) blur(pixels, size, rng.uniform(...config.blur.radius));
  if (kind === "other" && rng.bool(config.solarize)) solarize(pixels);
}
