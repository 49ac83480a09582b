import { noGrad } from "../autograd.js";
import type { NamedParameter } from "../nn/module.js";
import { call } from "../dispatch.js";
import { tidy } from "../scope.js";
import { zerosLike } from "../creation.js";
import type { Tensor } from "../tensor.js";

/** Weights that share a treatment. Every trained weight must be in exactly one group. */
export interface ParameterGroup {
  readonly parameters: readonly NamedParameter[];
  /** Whether weight decay applies. */
  readonly decay: boolean;
  /** factor of the learning rate, default 1 */
  readonly lrScale?: number;
}

export interface AdamWOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
}

/** What Adam remembers of one weight: moments, and how many updates it has had. */
export interface Moments {
  readonly mean: Tensor;
  readonly square: Tensor;
  updates: number;
}

interface Weight extends Moments {
  readonly name: string;
  readonly parameter: Tensor;
  readonly decay: boolean;
  readonly lrScale: number;
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019), in place over lists of tensors.
 *
 * A weight without a gradient is left alone altogether: no decay, no moment, no count. That is how
 * the published code freezes a last layer, and its bias correction starts when it thaws.
 */
export class AdamW {
  private readonly weights: readonly Weight[];
  private readonly beta1: number;
  private readonly beta2: number;
  private readonly epsilon: number;

  /** @throws Error when a weight stands in two groups */
  constructor(groups: readonly ParameterGroup[], options: AdamWOptions = {}) {
    ({
      beta1: this.beta1 = 0.9,
      beta2: this.beta2 = 0.999,
      epsilon: this.epsilon = 1e-8,
    } = options);
    this.weights = groups.flatMap(({ parameters, decay, lrScale = 1 }) =>
      parameters.map(([name, parameter]) => ({
        name,
        parameter,
        decay,
        lrScale,
        mean: zerosLike(parameter),
        square: zerosLike(parameter),
        updates: 0,
      })),
    );
    const twice = this.weights.find(
      (weight, index) =>
        this.weights.findIndex((other) => other.parameter === weight.parameter) !== index,
    );
    if (twice) throw new Error(`internal: parameter ${twice.name} is in two optimiser groups`);
  }

  /** The moments by weight name, for checkpoints. */
  state(): ReadonlyMap<string, Moments> {
    return new Map(this.weights.map((weight) => [weight.name, weight]));
  }

  zeroGrad(): void {
    for (const { parameter } of this.weights) parameter.grad = undefined;
  }

  /** @param only weights that are updated; default: all that have a gradient */
  step({ lr, weightDecay }: { lr: number; weightDecay: number }, only?: ReadonlySet<Tensor>): void {
    const chosen = only
      ? this.weights.filter(({ parameter }) => only.has(parameter))
      : this.weights;
    noGrad(() => {
      for (const weights of groupWeights(chosen)) tidy(() => this.update(weights, lr, weightDecay));
    });
  }

  /** One update of weights that have had the same number of updates and share decay rule and rate. */
  private update(weights: readonly Weight[], lr: number, weightDecay: number): void {
    const updates = weights[0]!.updates + 1;
    for (const weight of weights) weight.updates = updates;
    const { beta1, beta2, epsilon } = this;
    const { decay: decays, lrScale } = weights[0]!;
    call(
      "odis::adamw_",
      weights.map((weight) => weight.parameter),
      weights.map((weight) => weight.parameter.grad!),
      weights.map((weight) => weight.mean),
      weights.map((weight) => weight.square),
      lr * lrScale,
      beta1,
      beta2,
      epsilon,
      decays ? weightDecay : 0,
      updates,
    );
  }
}

/** Weights with a gradient, split so that one list shares decay rule, rate and bias correction. */
function groupWeights(weights: readonly Weight[]): Weight[][] {
  const groups = new Map<string, Weight[]>();
  for (const weight of weights) {
    if (!weight.parameter.grad) continue;
    const key = `${weight.decay} ${weight.lrScale} ${weight.updates}`;
    const group = groups.get(key);
    if (group) group.push(weight);
    else groups.set(key, [weight]);
  }
  return [...groups.values()];
}
