import { type Tensor, tidy } from "@odis/torch";

/** A function's value somewhere, and its gradient there. */
export interface Evaluated {
  readonly value: number;
  readonly gradient: Tensor;
}

export interface MinimiseOptions {
  /** steps at most */
  readonly steps: number;
  /** it ends when no entry of the gradient is larger */
  readonly tolerance: number;
  /** is asked before every step; ends it where it has come to */
  readonly stop?: () => boolean;
}

/** Pairs of steps and changes of the gradient that stand for the curvature. */
const remembered = 10;
/** Of Wolfe's conditions: a step is long enough, and not too long. */
const [decrease, curvature] = [1e-4, 0.9];
const mostTrials = 40;

/** A step that was taken. */
interface Step {
  readonly moved: Tensor;
  readonly turned: Tensor;
  /** 1 / (moved · turned) */
  readonly scale: number;
}

const dot = (a: Tensor, b: Tensor): number => tidy(() => a.mul(b).sum().item());

/**
 * The lowest point of a smooth convex function, by L-BFGS (Nocedal and Wright, algorithm 7.5) with a
 * line search by bisection for the weak Wolfe conditions (Lewis and Overton 2013).
 *
 * @param at gives the value and a gradient of its own
 * @param start freed
 * @returns a tensor of the caller's
 */
export function minimised(
  at: (point: Tensor) => Evaluated,
  start: Tensor,
  { steps, tolerance, stop = () => false }: MinimiseOptions,
): Tensor {
  let point = start;
  let here = at(point);
  const history: Step[] = [];
  const forget = (step: Step | undefined): void => {
    step?.moved.free();
    step?.turned.free();
  };
  for (let step = 0; step < steps && !stop(); step += 1) {
    if (!(largest(here.gradient) > tolerance)) break;
    const direction = descent(here.gradient, history);
    const found = lineSearch(at, point, here, direction, history.length === 0);
    direction.free();
    if (!found) {
      if (history.length === 0) break; // rounding has the last word
      for (const old of history.splice(0)) forget(old);
      continue;
    }
    const moved = found.point.sub(point);
    const turned = found.gradient.sub(here.gradient);
    const product = dot(moved, turned);
    if (product > 0) history.push({ moved, turned, scale: 1 / product });
    else for (const tensor of [moved, turned]) tensor.free();
    if (history.length > remembered) forget(history.shift());
    point.free();
    here.gradient.free();
    ({ point } = found);
    here = found;
  }
  for (const old of history) forget(old);
  here.gradient.free();
  return point;
}

function largest(gradient: Tensor): number {
  return tidy(() => gradient.abs().max().item());
}

/** Minus the gradient, turned by what is known of the curvature. */
function descent(gradient: Tensor, history: readonly Step[]): Tensor {
  return tidy(() => {
    let direction = gradient.neg();
    const shares: number[] = [];
    for (const { moved, turned, scale } of history.toReversed()) {
      const share = scale * dot(moved, direction);
      shares.push(share);
      direction = direction.sub(turned, share);
    }
    const last = history.at(-1);
    if (last) direction = direction.mul(1 / (last.scale * dot(last.turned, last.turned)));
    for (const { moved, turned, scale } of history)
      direction = direction.add(moved, shares.pop()! - scale * dot(turned, direction));
    return direction;
  });
}

/** A point along the direction that is low and flat enough; undefined when there is none. */
function lineSearch(
  at: (point: Tensor) => Evaluated,
  from: Tensor,
  { value, gradient }: Evaluated,
  direction: Tensor,
  isFirst: boolean,
): (Evaluated & { readonly point: Tensor }) | undefined {
  const slope = dot(gradient, direction);
  if (!(slope < 0)) return undefined;
  let [low, high] = [0, Number.POSITIVE_INFINITY];
  let length = isFirst ? Math.min(1, 1 / Math.sqrt(-slope)) : 1;
  for (let trial = 0; trial < mostTrials; trial += 1) {
    const point = from.add(direction, length);
    const there = at(point);
    const isLow = there.value <= value + decrease * length * slope;
    if (isLow && dot(there.gradient, direction) >= curvature * slope) return { ...there, point };
    if (isLow) low = length;
    else high = length;
    point.free();
    there.gradient.free();
    length = Number.isFinite(high) ? (low + high) / 2 : 2 * low;
  }
  return undefined;
}
