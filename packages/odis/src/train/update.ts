import { cat, clipGradients, emaUpdate_, type Module, type Scope, Tensor, tidy } from "@odis/torch";
import type { TokenKind } from "../model/index.js";
import type { ScheduleValues } from "../recipe/index.js";
import { averagedWeights, type TrainState } from "./state.js";
import type { DeviceBatch } from "./upload.js";

/** Modules whose weights will get no more gradient in this step. */
export type Done = (modules: readonly Module[]) => void;

/**
 * The student's update in one step: sum gradients over processes, clip, freeze, AdamW. For all
 * weights at once, or, to hold gradients of one block at a time (`optim.memory: "stream"`), for some
 * of them after the other.
 */
export class Update {
  private readonly clipped: { readonly weights: readonly Tensor[]; readonly norms: Tensor }[] = [];

  /** @param scope owns the norms; it is open until they were read */
  constructor(
    private readonly state: TrainState,
    private readonly values: ScheduleValues,
    private readonly scope: Scope,
  ) {}

  /**
   * Runs a backward pass. Afterwards gradients are those of all processes' images: they are sent
   * while it goes on, as soon as nothing will be added to them.
   *
   * @param last whether no other backward pass of this step follows
   * @param run calls its argument where it knows that modules are done
   */
  backward(last: boolean, run: (done: Done) => void): void {
    const { buckets, recipe } = this.state;
    const { memory } = recipe.optim;
    if (memory === "stream") run((modules) => this.now(modules));
    else if (!buckets || !last) run(() => undefined);
    else if (memory === "keep") buckets.reduceDuring(() => run(() => undefined));
    else buckets.reduceReady((ready) => run((modules) => ready(trained(modules))));
  }

  /** Sums, clips and updates these modules at once, so that their gradients can go. */
  private now(modules: readonly Module[]): void {
    this.sum(modules);
    this.clip(modules);
    this.apply(modules);
  }

  /** Sums over processes what `backward` has not: gradients that are left when blocks are updated alone. */
  sumRest(modules: readonly Module[]): void {
    if (this.state.recipe.optim.memory === "stream") this.sum(modules);
  }

  private sum(modules: readonly Module[]): void {
    tidy(() => this.state.world.sum(trained(modules).flatMap(({ grad }) => grad ?? [])));
  }

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
    const { student, optimizer, owners, world } = this.state;
    const weights = new Set(modules.flatMap((module) => module.parameters()));
    if (this.values.freezeLastLayer)
      for (const { lastLayers } of student.heads)
        for (const weight of lastLayers.flatMap((layer) => layer.parameters()))
          if (weights.has(weight)) weight.grad = undefined;
    const moved = owners && tidy(() => [...weights].filter(({ grad }) => grad));
    tidy(() => optimizer.step(this.values, weights));
    // Each process has updated its share: the others get it.
    if (owners && moved)
      for (let rank = 0; rank < world.size; rank += 1)
        world.broadcast(
          moved.filter((weight) => owners.get(weight) === rank),
          rank,
        );
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

const trained = (modules: readonly Module[]): Tensor[] =>
  modules.flatMap((module) => module.parameters()).filter((weight) => weight.requiresGrad);

/**
 * Moves centres and teacher: last, so that no step reads what it has changed.
 *
 * @param sums of the teacher's logits over the rows of all processes, by kind
 */
export function moveTeacher(
  state: TrainState,
  { centerRows }: DeviceBatch,
  sums: Readonly<Partial<Record<TokenKind, Tensor | undefined>>>,
  values: ScheduleValues,
): void {
  for (const [kind, rows] of Object.entries(centerRows) as [TokenKind, Tensor][])
    if (sums[kind]) state.centers[kind]?.update(sums[kind], rows);
  const { slow, fast } = averagedWeights(state);
  emaUpdate_(slow, fast, values.teacherMomentum);
}
