import { clipGradients, type Module, type Tensor, tidy } from "@odis/torch";
import { NonFiniteLossError } from "../core/index.js";
import type { Knobs } from "../recipe/index.js";
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
    // A scope of its own: every look at a gradient holds it, and its memory is wanted back now.
    tidy(() => {
      const { clip, clipScope } = this.state.recipe.optim;
      const lists =
        clipScope === "module"
          ? modules.map((module) => module.parameters())
          : [modules.flatMap((module) => module.parameters())];
      for (const list of lists) this.measure(list, clip, clipScope === "each" ? "each" : "global");
      const { whole } = this.gradients;
      if (!Number.isFinite(whole)) {
        const terms = { ...this.terms, gradient: whole };
        throw new NonFiniteLossError(this.knobs.step, terms, this.batch.keys);
      }
      this.move(lists.flat());
    });
  }

  /** Clips the gradients of some weights and keeps what their norms were. */
  private measure(list: readonly Tensor[], limit: number, scope: "each" | "global"): void {
    for (const [at, norm] of clipGradients(list, limit, scope).entries())
      if (norm !== undefined) this.norms.set(list[at]!, norm);
  }

  private move(weights: readonly Tensor[]): void {
    const { student, optimizer } = this.state;
    if (this.knobs.freezeLastLayer)
      for (const { lastLayers } of student.heads)
        for (const weight of lastLayers.flatMap((layer) => layer.parameters()))
          weight.grad = undefined;
    optimizer.step(this.knobs, new Set(weights));
    for (const weight of weights) weight.grad = undefined;
  }

  /** Of all weights that were updated so far. */
  get gradients(): GradientNorms {
    const each = this.state.student.parameters().map((weight) => this.norms.get(weight));
    return { whole: Math.hypot(...each.filter((norm) => norm !== undefined)), each };
  }
}
