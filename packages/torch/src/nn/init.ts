import { noGrad } from "../autograd.js";
import type { Generator } from "../random.js";
import { tidy } from "../scope.js";
import type { Tensor } from "../tensor.js";

/** Error function, Abramowitz and Stegun 7.1.26; 1.5e-7 is ample for cutting tails at ±2. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly =
    t *
    (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}

/**
 * Normal with the given deviation, cut at ±2 (absolute, as timm's `trunc_normal_` with its
 * defaults does), by inverting the distribution function of a uniform draw.
 */
export function truncNormal_(weight: Tensor, std: number, generator: Generator): Tensor {
  noGrad(() =>
    tidy(() => {
      // Just inside ±1: a draw of exactly -1 would come out as -∞ and end as a weight of -2.
      const edge = Math.min(erf(2 / std / Math.SQRT2), 1 - 1e-6);
      weight.uniform_(-edge, edge, generator);
      weight.erfinv_().mul_(std * Math.SQRT2);
      weight.clamp_(-2, 2);
    }),
  );
  return weight;
}

/** Fills a weight in place without autograd noticing. */
export function fill_(weight: Tensor, value: number): Tensor {
  noGrad(() => weight.fill_(value));
  return weight;
}
