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

interface Slot extends Moments {
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
  private readonly slots: readonly Slot[];
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
    this.slots = groups.flatMap(({ parameters, decay, lrScale = 1 }) =>
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
    const twice = this.slots.find(
      (slot, index) =>
        this.slots.findIndex((other) => other.parameter === slot.parameter) !== index,
    );
    if (twice) throw new Error(`internal: parameter ${twice.name} is in two optimiser groups`);
  }

  /** The moments by weight name, for checkpoints. */
  state(): ReadonlyMap<string, Moments> {
    return new Map(this.slots.map((slot) => [slot.name, slot]));
  }

  zeroGrad(): void {
    for (const { parameter } of this.slots) parameter.grad = undefined;
  }

  /** @param only weights that are updated; default: all that have a gradient */
  step({ lr, weightDecay }: { lr: number; weightDecay: number }, only?: ReadonlySet<Tensor>): void {
    const chosen = only ? this.slots.filter(({ parameter }) => only.has(parameter)) : this.slots;
    noGrad(() => {
      for (const slots of groupSlots(chosen)) tidy(() => this.update(slots, lr, weightDecay));
    });
  }

  /** One update of weights that have had the same number of updates and share decay rule and rate. */
  private update(slots: readonly Slot[], lr: number, weightDecay: number): void {
    const updates = slots[0]!.updates + 1;
    for (const slot of slots) slot.updates = updates;
    const { beta1, beta2, epsilon } = this;
    const { decay: decays, lrScale } = slots[0]!;
    call(
      "odis::adamw_",
      slots.map((slot) => slot.parameter),
      slots.map((slot) => slot.parameter.grad!),
      slots.map((slot) => slot.mean),
      slots.map((slot) => slot.square),
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
function groupSlots(slots: readonly Slot[]): Slot[][] {
  const groups = new Map<string, Slot[]>();
  for (const slot of slots) {
    if (!slot.parameter.grad) continue;
    const key = `${slot.decay} ${slot.lrScale} ${slot.updates}`;
    const group = groups.get(key);
    if (group) group.push(slot);
    else groups.set(key, [slot]);
  }
  return [...groups.values()];
}
