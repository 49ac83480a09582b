import type { ColorStep } from "@odis/torch/images";
import type { Rng } from "../core/index.js";
import type { ColorConfig } from "./config.js";

/** The largest change of each kind: relative, of hue in turns of the colour circle. */
type Strengths = Omit<ColorConfig["jitter"], "p">;

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
      if (config.jitter[change] > 0) steps.push(jitterStep(change, config.jitter, rng));
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

/** Draws a colour jitter of which each step is applied, or not, on its own: brightness first, hue last. */
export function drawEachJitter(
  { p, ...strengths }: ColorConfig["jitter"],
  rng: Rng,
): readonly ColorStep[] {
  return jitterSteps.flatMap((change) => (rng.bool(p) ? [jitterStep(change, strengths, rng)] : []));
}

function jitterStep(
  change: (typeof jitterSteps)[number],
  { [change]: strength }: Strengths,
  rng: Rng,
): ColorStep {
  const neutral = change === "hue" ? 0 : 1;
  return { change, amount: rng.uniform(neutral - strength, neutral + strength) };
}
