import { cat, clipGradients, emaUpdate_, type Module, type Scope, Tensor, tidy } from "@odis/torch";
import type { TokenKind } from "../model/index.js";
import type { ScheduleValues } from "../recipe/index.js";
import type { Targets } from "./forward.js";
import { averagedWeights, type TrainState } from "./state.js";
import type { DeviceBatch } from "./upload.js";

/**
 * The student's update in one step: clip, freeze, AdamW. For all weights at once, or, to hold
 * gradients of one block at a time (`optim.memory: "stream"`), for some of them after the other.
 */
export class Update {
  private readonly clipped: { readonly weights: readonly Tensor[]; readonly norms: Tensor }[] = [];

  /** @param scope owns the norms; it is open until they were read */
  constructor(
    private readonly state: TrainState,
    private readonly values: ScheduleValues,
    private readonly scope: Scope,
  ) {}

  /** Measures the gradients of these modules' weights, and clips them. Waits for no device. */
  clip(modules: readonly Module[]): void {
    const { clip, clipScope } = this.state.recipe.optim;
    const lists =
      clipScope === "module"
        ? modules.map((module) => module.parameters())
        : [modules.flatMap((module) => module.parameters())];
    // A scope of its own: every look at a gradient holds it, and its memory is wanted back soon.
    for (const list of lists)
      tidy(() => {
        const found = list.flatMap((weight) => {
          const { grad } = weight;
          return grad ? [{ weight, grad }] : [];
        });
        if (found.length === 0) return;
        const gradients = found.map(({ grad }) => grad);
        const norms = clipGradients(gradients, clip, clipScope === "each" ? "each" : "global");
        this.clipped.push({
          weights: found.map(({ weight }) => weight),
          norms: this.scope.claim(norms),
        });
      });
  }

  /** Updates the weights of these modules and drops their gradients. */
  apply(modules: readonly Module[]): void {
    const { student, optimizer } = this.state;
    const weights = new Set(modules.flatMap((module) => module.parameters()));
    if (this.values.freezeLastLayer)
      for (const { lastLayers } of student.heads)
        for (const weight of lastLayers.flatMap((layer) => layer.parameters()))
          if (weights.has(weight)) weight.grad = undefined;
    tidy(() => optimizer.step(this.values, weights));
    for (const weight of weights) weight.grad = undefined;
  }

  /** Norms of all gradients before clipping, [n], in the order in which they were clipped. */
  norms(): Tensor {
    return cat(this.clipped.map(({ norms }) => norms));
  }

  /**
   * Norms as read from the device -> those of every student weight, in their order; undefined for a
   * weight without a gradient.
   */
  normOfEach(norms: readonly number[]): readonly (number | undefined)[] {
    const weights = this.clipped.flatMap((list) => list.weights);
    const of = new Map(weights.map((weight, at) => [weight, norms[at]!]));
    return this.state.student.parameters().map((weight) => of.get(weight));
  }
}

/** Moves centres and teacher: last, so that no step reads what it has changed. */
export function moveTeacher(
  state: TrainState,
  { centerRows }: DeviceBatch,
  { centerSums }: Targets,
  values: ScheduleValues,
): void {
  for (const [kind, sum] of Object.entries(centerSums) as [TokenKind, Tensor][])
    state.centers[kind]?.update(sum, centerRows[kind]!);
  const { slow, fast } = averagedWeights(state);
  emaUpdate_(slow, fast, values.teacherMomentum);
}
