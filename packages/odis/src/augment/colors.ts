import { fromBuffer, type Tensor, tidy } from "@odis/torch";
import type { ViewPlan } from "../views/index.js";
import { blur } from "./blur.js";
import { turnHue } from "./hue.js";

type Change = ViewPlan["steps"][number]["change"];

/** Views [n, 3, S, S], and how much of a change each of them gets. Gives new tensors. */
type Apply = (x: Tensor, amounts: readonly number[]) => Tensor;

const changes: Readonly<Record<Change, Apply>> = {
  brightness: (x, amounts) => blend(x, 0, factors(amounts, x.device)),
  contrast: (x, amounts) => blend(x, meanLightness(x), factors(amounts, x.device)),
  saturation: (x, amounts) => blend(x, lightness(x), factors(amounts, x.device)),
  hue: turnHue,
  gray: (x) => lightness(x).repeat([1, 3, 1, 1]),
  blur,
  solarize: (x, amounts) =>
    x.lt(factors(amounts.map(Math.ceil), x.device)).where(x, x.neg().add_(255)),
};

/**
 * Photometric changes of views, in the order that each view's plan says. A round takes the change that
 * most views wait for and makes it in all of them: few calls of large tensors.
 *
 * @param x [n, 3, S, S] float32, whole numbers 0..255; may be changed
 */
export function recolor(x: Tensor, plans: readonly ViewPlan[]): Tensor {
  const next = new Int32Array(plans.length);
  for (;;) {
    const waiting = new Map<Change, number[]>();
    for (const [view, { steps }] of plans.entries()) {
      const step = steps[next[view]!];
      if (!step) continue;
      const views = waiting.get(step.change);
      if (views) views.push(view);
      else waiting.set(step.change, [view]);
    }
    const [round] = [...waiting].toSorted(([, a], [, b]) => b.length - a.length);
    if (!round) return x;
    const [change, views] = round;
    const amounts = views.map((view) => plans[view]!.steps[next[view]!]!.amount);
    x = tidy(() => changed(x, views, (some) => changes[change](some, amounts)));
    for (const view of views) next[view]! += 1;
  }
}

/** All views, of which some were changed. */
function changed(x: Tensor, views: readonly number[], change: (some: Tensor) => Tensor): Tensor {
  if (views.length === x.dims(4)[0]) return change(x);
  const { device } = x;
  const rows = fromBuffer(BigInt64Array.from(views, BigInt), [views.length], { device });
  return x.indexCopy_(0, rows, change(x.indexSelect(0, rows)));
}

/** One number for each view, [n, 1, 1, 1]. */
const factors = (amounts: readonly number[], device: string): Tensor =>
  fromBuffer(Float32Array.from(amounts), [amounts.length, 1, 1, 1], { device });

/** base + factor x (x - base), cut to 0..255; the fraction is dropped. */
const blend = (x: Tensor, base: Tensor | number, factor: Tensor): Tensor =>
  x.sub(base).mul_(factor).add_(base).clamp_(0, 255).floor();

/** ITU-R 601 luma with 16 fractional bits, which floats hold: [n, 1, S, S]. */
function lightness(x: Tensor): Tensor {
  const [r, g, b] = x.split(1, 1) as [Tensor, Tensor, Tensor];
  const sum = r.mul(19595).add_(g.mul(38470)).add_(b.mul(7471)).add_(32768);
  return sum.div_(65536).floor();
}

/** Rounded, [n, 1, 1, 1]. */
const meanLightness = (x: Tensor): Tensor =>
  lightness(x).double().mean([1, 2, 3], true).add_(0.5).floor().float();
