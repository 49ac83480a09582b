import {
  cat,
  type Generator,
  gradientsOf,
  noGrad,
  ones,
  stack,
  type Tensor,
  zeros,
} from "@odis/torch";
import { crossViewLoss, koleo, rowLoss } from "../loss/index.js";
import type { PerKind } from "../model/index.js";
import { summaryKind } from "../recipe/index.js";
import {
  inPrecision,
  studentFeatures,
  type StudentOutputs,
  summarySum,
  type Targets,
} from "./forward.js";
import type { TrainState } from "./state.js";
import type { DeviceBatch, MicroBatch, Presence } from "./upload.js";

/** The loss, which is differentiated, and its weighted terms, which sum to it. */
export const lossNames = ["total", "cls", "object", "patch", "koleo"] as const;
export type LossName = (typeof lossNames)[number];

/** The loss of some images. */
export interface Loss {
  readonly total: Tensor;
  /** [5] float64, in the order of `lossNames` */
  readonly values: Tensor;
}

/**
 * L = λcls L[CLS] + λobj L[OBJ] + λpatch L[PATCH] + λkoleo KoLeo of some images (paper section 3.3;
 * KoLeo is an extension). Those of all micro-batches sum to that of the batch.
 */
export function objective(
  { recipe: { loss }, device }: TrainState,
  { pairs, hiddenWeights }: MicroBatch,
  { logits, features }: StudentOutputs,
  targets: PerKind<Tensor>,
  koleoOf: KoleoShare,
): Loss {
  const none = zeros([], { device });
  const across = (kind: "cls" | "object"): Tensor => {
    const [student, teacher, weights] = [logits[kind], targets[kind], pairs[kind]];
    if (!student || !teacher || !weights) return none;
    const [, R, K] = teacher.dims(3);
    return crossViewLoss(student.reshape([-1, R, K]), teacher, weights);
  };
  const hidden =
    logits.patch && targets.patch ? rowLoss(logits.patch, targets.patch, hiddenWeights) : none;
  const cls = across("cls").mul(loss.clsWeight);
  const object = across("object").mul(loss.objectWeight);
  const patch = hidden.mul(loss.patchWeight);
  const spread = koleoOf(features).mul(loss.koleoWeight);
  const total = cls.add(object).add(patch).add(spread);
  return { total, values: stack([total, cls, object, patch, spread]).detach().double() };
}

/** Some images' share of the batch's KoLeo, from the student's features of their global views. */
export type KoleoShare = (features: PerKind<Tensor>) => Tensor;

/**
 * KoLeo of a batch, whatever the number of micro-batches that compute it. It compares all images
 * with each other; so with several all features are computed ahead without a graph, and each carries
 * its rows of the whole batch's gradient through the network (gradient caching, Gao et al. 2021).
 * That costs a second pass over the global views. The shares sum to the batch's value.
 *
 * @returns one for each micro-batch
 */
export function koleoShares(
  state: TrainState,
  { microBatches, globals, presence }: DeviceBatch,
  drops: readonly (Generator | undefined)[],
): readonly KoleoShare[] {
  const { recipe, device } = state;
  const none = zeros([], { device });
  const kind = summaryKind(recipe);
  if (recipe.loss.koleoWeight === 0 || !kind) return microBatches.map(() => () => none);
  const summaries = (features: PerKind<Tensor>): Tensor =>
    features[kind]!.float().reshape([globals, -1, recipe.model.dim]); // [G, R, D]
  const count = microBatches.length;
  if (count === 1) return [(features) => koleoOfPresent(summaries(features), presence)];

  const ahead = noGrad(() =>
    microBatches.map((micro, at) =>
      summaries(inPrecision(state, () => studentFeatures(state, micro, drops[at]))),
    ),
  );
  const whole = cat(ahead, 1).requiresGrad_();
  const value = koleoOfPresent(whole, presence);
  // Where no view has two objects, nobody is pushed.
  if (!value.requiresGrad) return microBatches.map(() => () => none);
  const [gradient] = gradientsOf([value], [whole]);
  const share = value.detach().div(count);
  const rows = whole.dims(3)[1] / count;
  return microBatches.map((_, at) => (features) => {
    const carried = summaries(features)
      .mul(gradient!.narrow(1, at * rows, rows))
      .sum();
    return carried.sub(carried.detach()).add(share);
  });
}

/**
 * Mean KoLeo over the global views, each among the rows whose object is present in it.
 *
 * @param features [G, R, D]
 */
function koleoOfPresent(features: Tensor, presence: Presence | undefined): Tensor {
  const [G, R] = features.dims(3);
  let sum = zeros([], { device: features.device });
  for (let g = 0; g < G; g += 1) {
    const rows = presence?.perView[g];
    const view = features.select(0, g);
    if ((rows?.size ?? R) < 2) continue; // nobody to keep a distance from
    sum = sum.add(koleo(rows ? view.indexSelect(0, rows) : view).div(G));
  }
  return sum;
}

/** What a step tells of the teacher, beside the loss. */
export interface Statistics {
  /** mean entropy of the [OBJ] (else [CLS]) targets over their pairs, nats: ln K uniform, 0 one-hot */
  readonly teacherEntropy: number;
  /** entropy of the mean target, nats: near 0 when one prototype takes everything */
  readonly marginalEntropy: number;
  readonly similarities: Similarities;
}

/**
 * Mean cosines of the teacher's summaries in the first two global views, -1..1. What tells collapse
 * from learning: the same object should be more alike in two views than other objects of its image
 * are, and these more than other images.
 */
export interface Similarities {
  /** of different images in one view: near 1 when features have collapsed */
  readonly images: number;
  /** of the same object in two views; undefined with one view */
  readonly views: number | undefined;
  /** of different objects of one image in one view; undefined where there is one object an image */
  readonly objects: number | undefined;
}

/** Sums over rows that the statistics are made of, float64, by name. */
export type Sums = Readonly<Record<string, Tensor>>;

/** What the statistics sum over the rows of a batch, [], but `marginal`, [K], and `direction`, [D]. */
export function statisticSums(
  { recipe }: TrainState,
  { pairs, presence, objects }: DeviceBatch,
  { whole, summaries }: Targets,
): Sums {
  const kind = summaryKind(recipe);
  if (!kind || !summaries) return {};
  const probabilities = whole[kind]!; // [G, R, K]
  return {
    entropy: entropy(probabilities).double().mul(pairs[kind]!.double().sum(0)).sum(),
    marginal: summarySum(probabilities, {
      flags: recipe.loss.objectCenterRows === "present" ? presence?.flags : undefined,
    }).double(),
    ...(kind === "object"
      ? similaritySums(summaries, presence?.flags, objects)
      : similaritySums(summaries, undefined, 1)),
  };
}

/**
 * The similarities' numerators and denominators. The cosines of all pairs of rows sum to
 * (|Σ u|² - Σ |u|²) / 2, so that no matrix of pairs is needed.
 *
 * @param features [G, B * O, D]
 * @param flags [G, B * O] float64, default: all present
 */
export function similaritySums(features: Tensor, flags: Tensor | undefined, O: number): Sums {
  const [G, R, D] = features.dims(3);
  const all = features.float();
  const unit = all.div(all.norm(-1, 2, true).clampMin(1e-12)).double();
  const here = flags ?? ones([G, R], { dtype: "float64", device: unit.device });
  const there = here.select(0, 0); // [R]
  const first = unit.select(0, 0).mul(there.unsqueeze(-1)); // [R, D]
  const perImage = first.reshape([-1, O, D]).sum(1); // [B, D]
  const square = (x: Tensor): Tensor => x.mul(x).sum();
  const again = G > 1 ? here.select(0, 1).mul(there) : undefined; // [R]
  return {
    rows: there.sum(),
    rowsSquared: square(there.reshape([-1, O]).sum(1)),
    lengths: square(first),
    imageLengths: square(perImage),
    direction: first.sum(0),
    ...(again && {
      rowsInBoth: again.sum(),
      agreement: first.mul(unit.select(0, 1)).sum(-1).mul(again).sum(),
    }),
  };
}

/** Vectors among the sums -> what is read of them, so that single numbers are left. */
export function reduced({ marginal, direction, ...rest }: Sums): Sums {
  return {
    ...rest,
    // Rows of absent objects may be 0; what is left is a distribution again.
    ...(marginal && { marginalEntropy: entropy(marginal.div(marginal.sum())) }),
    ...(direction && { length: direction.mul(direction).sum() }),
  };
}

/** @param of the reduced sums on the host; NaN where nothing was summed */
export function statisticsOf(of: Readonly<Record<string, number>>, objects: number): Statistics {
  const { entropy: teacherEntropy = Number.NaN, marginalEntropy = Number.NaN } = of;
  return { teacherEntropy, marginalEntropy, similarities: similaritiesOf(of, objects) };
}

export function similaritiesOf(of: Readonly<Record<string, number>>, O: number): Similarities {
  const { rows = 0, rowsSquared = 0, rowsInBoth, agreement = 0 } = of;
  const { length = 0, imageLengths = 0, lengths = 0 } = of;
  const mean = (sum: number, count: number): number => (count > 0 ? sum / count : Number.NaN);
  return {
    images: mean(length - imageLengths, rows * rows - rowsSquared),
    views: rowsInBoth === undefined ? undefined : mean(agreement, rowsInBoth),
    objects: O > 1 ? mean(imageLengths - lengths, rowsSquared - rows) : undefined,
  };
}

/** Entropy of probabilities along the last axis, nats. */
function entropy(probabilities: Tensor): Tensor {
  return probabilities.mul(probabilities.clampMin(1e-30).log()).sum(-1).neg();
}
