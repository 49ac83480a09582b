import { clipGradients, type Module, type Tensor } from "@odis/torch";
import { NonFiniteLossError } from "../errors.js";
import type { Knobs } from "./knobs.js";
import type { TrainState } from "./state.js";

/** Norms of gradients before clipping. */
export interface GradientNorms {
  /** of all gradients together */
  readonly whole: number;
  /** of every student weight's, in their order, undefined without one */
  readonly each: readonly (number | undefined)[];
}

/**
 * The student's update in one step: clip, freeze, AdamW. Called once for all weights, or, to hold
 * gradients of one block at a time (`optim.memory: "stream"`), for some of them after the other.
 */
export class Update {
  private readonly norms = new Map<Tensor, number>();

  /** @param terms of the loss and `keys` of the batch, for the message */
  constructor(
    private readonly state: TrainState,
    private readonly knobs: Knobs,
    private readonly batch: { readonly keys: readonly string[] },
    private readonly terms: Readonly<Record<string, number>>,
  ) {}

  /**
   * Updates the weights of these modules and drops their gradients.
   *
   * @throws NonFiniteLossError before any of them changed. A finite loss can have gradients that
   *   overflow; one of them would poison every weight
   */
  apply(modules: readonly Module[]): void {
    const { student, optimizer, recipe } = this.state;
    const { clip, clipScope } = recipe.optim;
    const lists =
      clipScope === "module"
        ? modules.map((module) => module.parameters())
        : [modules.flatMap((module) => module.parameters())];
    for (const list of lists)
      for (const [at, norm] of clipGradients(
        list,
        clip,
        clipScope === "each" ? "each" : "global",
      ).entries())
        if (norm !== undefined) this.norms.set(list[at]!, norm);
    const { whole } = this.gradients;
    if (!Number.isFinite(whole))
      throw new NonFiniteLossError(
        this.knobs.step,
        { ...this.terms, gradient: whole },
        this.batch.keys,
      );
    if (this.knobs.freezeLastLayer)
      for (const { lastLayers } of student.heads)
        for (const weight of lastLayers.flatMap((layer) => layer.parameters()))
          weight.grad = undefined;
    optimizer.step(this.knobs, new Set(lists.flat()));
    for (const weight of lists.flat()) weight.grad = undefined;
  }

  /** Of all weights that were updated so far. */
  get gradients(): GradientNorms {
    const each = this.state.student.parameters().map((weight) => this.norms.get(weight));
    return { whole: Math.hypot(...each.filter((norm) => norm !== undefined)), each };
  }
}
