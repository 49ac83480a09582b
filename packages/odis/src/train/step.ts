import { follow_, noGrad, type Tensor, tensorScope } from "@odis/torch";
import type { Batch } from "../batches/index.js";
import { NonFiniteLossError } from "../core/index.js";
import { Tape, type TokenKind } from "../model/index.js";
import type { Knobs } from "../recipe/index.js";
import { objective, pairsOf, spreadOf, type TermName, termNames } from "./objective.js";
import { partsOf, upload } from "./upload.js";
import { dropPaths, inPrecision, studentOutputs, type Targets, teacherTargets } from "./forward.js";
import type { Similarities } from "./watch.js";
import { followedWeights, type TrainState } from "./state.js";
import { Update } from "./update.js";

/** What one step did. */
export interface StepReport {
  /** weighted loss terms; they sum to total, which is what was optimised */
  readonly terms: Readonly<Record<TermName | "total", number>>;
  /** mean entropy of the [OBJ] (else [CLS]) targets over their pairs, nats: ln K uniform, 0 one-hot */
  readonly teacherEntropy: number;
  /** entropy of the mean target, nats: near 0 when one prototype takes everything */
  readonly marginalEntropy: number;
  /** L[OBJ] (else L[CLS], unweighted) minus its targets' entropy, nats: what the student can still learn */
  readonly kl: number;
  readonly similarities: Similarities;
  /** norm of all gradients together, before clipping */
  readonly gradient: number;
  /** norm of every student weight's gradient before clipping, undefined without one */
  readonly gradientNorms: readonly (number | undefined)[];
}

/**
 * One update of student, centres and teacher: the whole method on one screen (paper section 3).
 *
 * Letters, here and in the files it calls: B images, O objects of an image, G global and L local
 * views, S = G + L student views, T tokens, N patches, M hidden patches, D width, K prototypes.
 * Rows are view-major: all images of view 0, then all of view 1, and so on; objects are innermost.
 *
 * @throws NonFiniteLossError when the loss or a gradient is not finite, before anything was changed
 *   (with `optim.memory: "stream"` blocks above the one with that gradient were: discard the state)
 */
export function trainStep(state: TrainState, batch: Batch, knobs: Knobs): StepReport {
  using scope = tensorScope();
  const { student, optimizer, centers, recipe, device } = state;
  const { layout, blocks } = student.backbone;
  const { memory, accumulate } = recipe.optim;
  const drops = dropPaths(state, accumulate);
  const parts = partsOf(batch, accumulate).map((part, index) => ({
    part,
    views: upload(part.batch, layout, recipe, device),
    dropPath: drops[index],
  }));
  const devices = parts.map(({ views }) => views);
  const targets = noGrad(() => teacherTargets(state, devices, batch, knobs));
  const pairs = pairsOf(state, batch);
  const spreads = spreadOf(state, batch, parts);
  const terms = { total: 0, cls: 0, object: 0, patch: 0, koleo: 0 };

  optimizer.zeroGrad();
  const update = new Update(state, knobs, batch, terms);
  for (const [index, { part, views, dropPath }] of parts.entries()) {
    using _part = tensorScope();
    const tape = memory === "keep" ? undefined : new Tape(scope);
    const outputs = inPrecision(state, () => studentOutputs(state, { views, dropPath }, tape));
    const inputs = { part, views, targets: targets.parts[index]!, spread: spreads[index]! };
    const loss = objective(state, batch, pairs, inputs, outputs);
    for (const name of [...termNames, "total"] as const) terms[name] += loss[name].item();
    if (!Number.isFinite(terms.total)) throw new NonFiniteLossError(knobs.step, terms, batch.keys);
    loss.total.backward();
    const done = (block: number): void => update.apply([blocks[block]!]);
    if (tape) inPrecision(state, () => tape.unwind(memory === "stream" ? done : undefined));
  }
  update.apply([student.backbone, ...student.heads]);

  // Last, so that this step's targets used neither this batch's centres nor its gradient.
  for (const [kind, mean] of Object.entries(targets.means))
    centers[kind as TokenKind]?.update(mean);
  const { slow, fast } = followedWeights(state);
  follow_(slow, fast, knobs.teacherMomentum);

  const { similarities } = targets;
  const { whole: gradient, each: gradientNorms } = update.gradients;
  return {
    terms,
    gradient,
    gradientNorms,
    similarities,
    ...summaryStatistics(state, targets, pairs, terms),
  };
}

/** Entropies of the summaries' targets; those of single rows weighted as their loss weights pairs. */
function summaryStatistics(
  { recipe: { loss } }: TrainState,
  { whole }: Targets,
  pairs: Readonly<Record<"cls" | "object", Float32Array>>,
  terms: StepReport["terms"],
): Pick<StepReport, "teacherEntropy" | "marginalEntropy" | "kl"> {
  const kind = whole.object ? "object" : "cls";
  const probabilities = whole[kind];
  if (!probabilities)
    return { teacherEntropy: Number.NaN, marginalEntropy: Number.NaN, kl: Number.NaN };
  return noGrad(() => {
    const rows = entropy(probabilities).flatten().toNumbers(); // [G * B * O]
    const teacherEntropy = pairs[kind].reduce(
      (sum, weight, at) => sum + weight * rows[at % rows.length]!,
      0,
    );
    const cross = terms[kind] / (kind === "object" ? loss.objectWeight : loss.clsWeight);
    const mean = probabilities.mean([0, 1]);
    // Rows of absent objects may be 0; what is left is a distribution again.
    const marginalEntropy = entropy(mean.div(mean.sum())).item();
    return { teacherEntropy, marginalEntropy, kl: cross - teacherEntropy };
  });
}

/** Entropy of probabilities along the last axis, nats. */
function entropy(probabilities: Tensor): Tensor {
  return probabilities.mul(probabilities.clampMin(1e-30).log()).sum(-1).neg();
}
