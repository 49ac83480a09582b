import { cat, noGrad, type Tensor, tensorScope, tidy } from "@odis/torch";
import { NonFiniteLossError } from "../core/index.js";
import { ActivationCheckpointing } from "../model/index.js";
import { type ScheduleValues, summaryKind } from "../recipe/index.js";
import { inPrecision, studentOutputs, teacherTargets } from "./forward.js";
import {
  koleoShares,
  type LossName,
  lossNames,
  objective,
  reduced,
  type Statistics,
  statisticsOf,
  statisticSums,
} from "./objective.js";
import { dropGradients, type TrainState } from "./state.js";
import { moveTeacher, Update } from "./update.js";
import type { DeviceBatch } from "./upload.js";

/** What one step did. */
export interface StepReport extends Statistics {
  /** weighted loss terms; they sum to total, which is what was optimised */
  readonly terms: Readonly<Record<LossName, number>>;
  /** L[OBJ] (else L[CLS], unweighted) minus its targets' entropy, nats: what the student can still learn */
  readonly kl: number;
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
 * The host reads the device once, before anything is changed.
 *
 * @throws NonFiniteLossError when the loss or a gradient is not finite, before anything was changed
 *   (with `optim.memory: "stream"` blocks were: discard the state)
 */
export function trainStep(
  state: TrainState,
  batch: DeviceBatch,
  values: ScheduleValues,
): StepReport {
  using scope = tensorScope();
  const { student, recipe, world } = state;
  const { blocks } = student.backbone;
  const whole = [student.backbone, ...student.heads];
  const targets = noGrad(() => tidy(() => teacherTargets(state, batch, values)));
  const koleo = koleoShares(state, batch);

  dropGradients(state);
  const update = new Update(state, values, scope);
  const losses = batch.microBatches.map((micro, at) => {
    using _micro = tensorScope();
    const checkpointing =
      recipe.optim.memory === "keep" ? undefined : new ActivationCheckpointing(scope);
    // What neither autograd nor the next line needs goes at once: logits are large.
    const loss = tidy(() => {
      const outputs = inPrecision(state, () => studentOutputs(state, micro, checkpointing));
      return objective(state, micro, outputs, targets.micro[at]!, koleo[at]!);
    });
    update.backward(at === koleo.length - 1, (done) => {
      loss.total.backward();
      inPrecision(state, () => checkpointing?.backward((block) => done([blocks[block]!])));
    });
    return scope.claim(loss.values);
  });
  update.sumRest(whole);
  update.clip(whole);

  const { cls, object, patch, ...statistics } = noGrad(() =>
    tidy(() =>
      world.sums({
        ...targets.centerSums,
        ...statisticSums(state, batch, targets),
        losses: sum(losses),
      }),
    ),
  );
  const report = reportOf(state, batch, update, {
    norms: update.norms(),
    ...noGrad(() => tidy(() => reduced(statistics))),
  });
  if (!Number.isFinite(report.gradient + report.terms.total)) {
    const terms = { ...report.terms, gradient: report.gradient };
    throw world.everywhere(new NonFiniteLossError(values.step, terms, batch.keys));
  }
  update.apply(whole);
  moveTeacher(state, batch, { cls, object, patch }, values);
  return report;
}

/** Reads all numbers of a step from the device, at once. */
function reportOf(
  { recipe }: TrainState,
  { objects }: DeviceBatch,
  update: Update,
  numbers: Readonly<Record<string, Tensor>>,
): StepReport {
  const { losses = [], norms = [], ...rest } = read(numbers);
  const terms = Object.fromEntries(lossNames.map((name, at) => [name, losses[at]!]));
  const statistics = statisticsOf(
    Object.fromEntries(Object.entries(rest).map(([name, [value]]) => [name, value!])),
    objects,
  );
  const { clsWeight, objectWeight } = recipe.loss;
  const cross = {
    object: terms["object"]! / objectWeight,
    cls: terms["cls"]! / clsWeight,
    none: Number.NaN,
  }[summaryKind(recipe) ?? "none"];
  return {
    terms: terms as StepReport["terms"],
    ...statistics,
    kl: cross - statistics.teacherEntropy,
    gradient: Math.hypot(...norms),
    gradientNorms: update.normOfEach(norms),
  };
}

/** Tensors of [] or [n] -> their numbers: one message from the device. */
function read(named: Readonly<Record<string, Tensor>>): Record<string, number[]> {
  return tidy(() => {
    const flat = Object.entries(named).map(([name, x]) => [name, x.flatten().double()] as const);
    const numbers = cat(flat.map(([, x]) => x)).toNumbers();
    let from = 0;
    return Object.fromEntries(
      flat.map(([name, { size }]) => [name, numbers.slice(from, (from += size))]),
    );
  });
}

const sum = (tensors: readonly Tensor[]): Tensor => tensors.reduce((a, b) => a.add(b));
