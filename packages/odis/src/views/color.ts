import type { ColorStep } from "@odis/torch/images";
import type { Rng } from "../core/index.js";
import type { ColorConfig } from "./config.js";

/** Which of the method's three colour chains a view goes through. */
export type ViewKind = "first" | "other" | "local";

/** The four steps of a colour jitter. */
const jitterSteps = ["brightness", "contrast", "saturation", "hue"] as const;

/** What is at least as bright is inverted by solarising. */
const SOLARIZE_FROM = 128;

/**
 * Draws how a view's colours change, in the published order: jitter (its four steps in random
 * order), grey, blur, solarise.
 */
export function drawColors(config: ColorConfig, kind: ViewKind, rng: Rng): ColorStep[] {
  const steps: ColorStep[] = [];
  if (rng.bool(config.jitter.p)) {
    for (const index of rng.permutation(jitterSteps.length)) {
      const change = jitterSteps[index]!;
      const strength = config.jitter[change];
      const neutral = change === "hue" ? 0 : 1;
      if (strength > 0) {
        steps.push({ change, amount: rng.uniform(neutral - strength, neutral + strength) });
      }
    }
  }
  if (rng.bool(config.gray)) steps.push({ change: "gray", amount: 0 });
  const [first, other, local] = config.blur.p;
  const blurs = { first, other, local };
  if (rng.bool(blurs[kind])) {
    steps.push({ change: "blur", amount: rng.uniform(...config.blur.radius) });
  }
  if (kind === "other" && rng.bool(config.solarize)) {
    steps.push({ change: "solarize", amount: SOLARIZE_FROM });
  }
  return steps;
}
