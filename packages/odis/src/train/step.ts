import { clipGradients, follow_, noGrad, type Tensor, tensorScope } from "@odis/torch";
import type { Batch } from "../data/batch.js";
import { NonFiniteLossError } from "../errors.js";
import type { Knobs } from "./knobs.js";
import { objective } from "./objective.js";
import { studentOutputs, teacherTargets, upload } from "./passes.js";
import { followedWeights, type TrainState } from "./state.js";

/** What one step did. */
export interface StepReport {
  /** weighted loss terms: object, patch and koleo sum to total, which is what was optimised */
  readonly terms: Readonly<Record<"total" | "object" | "patch" | "koleo", number>>;
  /** mean entropy of the [OBJ] targets over the pairs of L[OBJ], nats: ln K uniform, 0 one-hot */
  readonly teacherEntropy: number;
  /** entropy of the mean [OBJ] target, nats: near 0 when one prototype takes everything */
  readonly marginalEntropy: number;
  /** L[OBJ] (unweighted) minus its targets' entropy, nats: what the student can still learn */
  readonly kl: number;
  /** norm of all gradients together, before clipping */
  readonly gradient: number;
  /** norm of every student weight's gradient before clipping, undefined without one */
  readonly gradientNorms: readonly (number | undefined)[];
}

/**
 * One update of student, centres and teacher: the whole method on one screen (paper section 3).
 *
 * Letters, here and in the files it calls: B images, G global and L local views, S = G + L student
 * views, T tokens, N patches, M hidden patches, D width, K prototypes. Rows are view-major: all
 * images of view 0, then all of view 1, and so on.
 *
 * @throws NonFiniteLossError when the loss or a gradient is not finite, before anything was changed
 */
export function trainStep(state: TrainState, batch: Batch, knobs: Knobs): StepReport {
  using _scope = tensorScope();
  const { student, optimizer, centers, recipe } = state;
  const views = upload(batch, student.backbone.layout, recipe.model.patch, state.device);

  const targets = noGrad(() => teacherTargets(state, views, batch.size, knobs));
  const outputs = studentOutputs(state, views, batch.size);
  const loss = objective(state, batch, views, targets, outputs);
  const terms = {
    total: loss.total.item(),
    object: loss.object.item(),
    patch: loss.patch.item(),
    koleo: loss.koleo.item(),
  };
  if (!Number.isFinite(terms.total)) throw new NonFiniteLossError(knobs.step, terms, batch.keys);

  optimizer.zeroGrad();
  loss.total.backward();
  const gradientNorms = clipGradients(
    student.parameters(),
    recipe.optim.clip,
    recipe.optim.clipScope,
  );
  // A finite loss can have gradients that overflow; one of them would poison every weight.
  const gradient = Math.hypot(...gradientNorms.filter((norm) => norm !== undefined));
  if (!Number.isFinite(gradient))
    throw new NonFiniteLossError(knobs.step, { ...terms, gradient }, batch.keys);
  if (knobs.freezeLastLayer)
    for (const weight of student.head.lastLayer.parameters()) weight.grad = undefined;
  optimizer.step(knobs);

  // Last, so that this step's targets used neither this batch's centres nor its gradient.
  centers.object.update(targets.objectMean);
  if (targets.patchMean) centers.patch.update(targets.patchMean);
  const { slow, fast } = followedWeights(state);
  follow_(slow, fast, knobs.teacherMomentum);

  const statistics = targetStatistics(targets.object, loss.pairs);
  const cross = recipe.loss.objectWeight > 0 ? terms.object / recipe.loss.objectWeight : Number.NaN;
  return { terms, gradient, gradientNorms, ...statistics, kl: cross - statistics.teacherEntropy };
}

/** Entropies of the targets [G, B, K]; those of single rows weighted as L[OBJ] weights its pairs. */
function targetStatistics(
  targets: Tensor,
  pairs: Float32Array,
): { teacherEntropy: number; marginalEntropy: number } {
  return noGrad(() => {
    const rows = entropy(targets).flatten().toNumbers(); // [G * B]
    const teacherEntropy = pairs.reduce(
      (sum, weight, at) => sum + weight * rows[at % rows.length]!,
      0,
    );
    return { teacherEntropy, marginalEntropy: entropy(targets.mean([0, 1])).item() };
  });
}

/** Entropy of probabilities along the last axis, nats. */
function entropy(probabilities: Tensor): Tensor {
  return probabilities.mul(probabilities.clampMin(1e-30).log()).sum(-1).neg();
}
