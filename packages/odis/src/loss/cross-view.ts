import type { Tensor } from "@odis/torch";

/**
 * Weighted cross-entropy of student views against teacher views.
 *
 * S student views, of which the first G are the ones the teacher saw; R rows (images, or images x
 * objects); K prototypes. Equals, in plain loops,
 *
 *     for s, g, r:  sum += weight[s, g, r] * (-Σ_k teacher[g, r, k] * log softmax(student[s, r])[k])
 *
 * @param student logits divided by the student's temperature: [S, R, K]
 * @param teacher probabilities, without gradient: [G, R, K]
 * @param weight [S, G, R], see `pairWeights`
 */
export function crossViewLoss(student: Tensor, teacher: Tensor, weight: Tensor): Tensor {
  // Teacher rows sum to 1, so -Σ q log p = logsumexp(student) - q · student: no [S, G, R, K] and no
  // [S, R, K] of logarithms is ever written.
  const rows = student.transpose(0, 1); //                              [R, S, K]
  const agreement = rows.matmul(teacher.permute([1, 2, 0])); //         [R, S, G]
  const entropy = rows.logsumexp(-1).unsqueeze(-1).sub(agreement); //   [R, S, G]
  return entropy.mul(weight.permute([2, 0, 1])).sum();
}

/**
 * Weighted cross-entropy of rows against their own targets (L[PATCH] on hidden patches).
 *
 * @param student logits divided by the student's temperature: [M, K]
 * @param teacher probabilities, without gradient: [M, K]
 * @param weight [M]
 */
export function rowLoss(student: Tensor, teacher: Tensor, weight: Tensor): Tensor {
  const entropy = student.logsumexp(-1).sub(teacher.mul(student).sum(-1)); // [M]
  return entropy.mul(weight).sum();
}

/**
 * How the loss over pairs of views is averaged when objects are missing.
 *
 * `pairs` (default): the mean over pairs where the object is in both views; missing objects change
 * nothing. `images`: as in the published follow-up code (`ibot_vidor_obj.py`), every image and pair
 * counts in the denominator and missing ones add 0, so that the term fades as objects get rarer.
 */
export type PairMean = "pairs" | "images";

/** Presence of rows in views; row-major bytes, 1 = present. */
export interface Presence {
  /** [S, B, O]: all student views, the G global ones first */
  readonly student: Uint8Array;
  /** [G, B, O] */
  readonly teacher: Uint8Array;
}

/**
 * Weight of every pair (student view s, teacher view g) of every row: [S, G, B, O], 0 where s and g
 * are the same view or the object is missing at either end. The weights of the `pairs` mean sum to
 * 1 (or to 0 when nothing exists).
 *
 * Plain numbers on the host: presence is known before the step, and this is where "mean over
 * existing pairs" is decided, in one place that can be checked by hand.
 */
export function pairWeights(
  { student, teacher }: Presence,
  { S, G, B, O }: { S: number; G: number; B: number; O: number },
  mean: PairMean,
  all: AllPairs = {
    existing: existingPairs({ student, teacher }, { S, G, B, O }),
    images: B,
  },
): Float32Array {
  const weights = new Float32Array(S * G * B * O);
  for (let s = 0; s < S; s += 1)
    for (let g = 0; g < G; g += 1) {
      if (s === g) continue;
      for (let b = 0; b < B; b += 1) {
        const of = (views: Uint8Array, view: number, o: number): number =>
          views[(view * B + b) * O + o]!;
        let here = 0;
        for (let o = 0; o < O; o += 1) here += of(student, s, o) & of(teacher, g, o);
        for (let o = 0; o < O; o += 1) {
          const both = of(student, s, o) & of(teacher, g, o);
          // An image's objects share its weight under `images`.
          weights[((s * G + g) * B + b) * O + o] =
            mean === "images" ? both / Math.max(here, 1) : both;
        }
      }
    }
  const pairs = G * (S - 1);
  const denominator = mean === "images" ? pairs * all.images : Math.max(all.existing, 1);
  return weights.map((weight) => weight / denominator);
}

/** What weights are averaged over, where these images are some of more. */
export interface AllPairs {
  /** see `existingPairs` */
  readonly existing: number;
  readonly images: number;
}

/** Number of (student view, teacher view, object) in which the object is at both ends. */
export function existingPairs(
  { student, teacher }: Presence,
  { S, G, B, O }: { S: number; G: number; B: number; O: number },
): number {
  const rows = B * O;
  let existing = 0;
  for (let s = 0; s < S; s += 1)
    for (let g = 0; g < G; g += 1) {
      if (s === g) continue;
      for (let row = 0; row < rows; row += 1)
        existing += student[s * rows + row]! & teacher[g * rows + row]!;
    }
  return existing;
}

/** Hidden patches of a stack of views, as rows to gather and weights to sum with. */
export interface HiddenRows {
  /** view (image-in-view) of each hidden patch */
  readonly view: Int32Array;
  /** its patch, row-major on the patch grid */
  readonly patch: Int32Array;
  /** 1 / (hidden patches of its view) / (number of views): sums to the share of views that hide any */
  readonly weight: Float32Array;
}

/**
 * Lists the hidden patches for L[PATCH]: a mean over the hidden patches of each view, then over all
 * views, those without hidden patches counting as 0 (iBOT `main_ibot.py`, `iBOTLoss.forward`).
 *
 * @param hidden [views, N] bytes, 1 = hidden
 */
export function hiddenRows(hidden: Uint8Array, views: number, patches: number): HiddenRows {
  const view: number[] = [];
  const patch: number[] = [];
  const weight: number[] = [];
  for (let v = 0; v < views; v += 1) {
    const row = hidden.subarray(v * patches, (v + 1) * patches);
    const count = row.reduce((sum, byte) => sum + byte, 0);
    for (const [n, byte] of row.entries()) {
      if (!byte) continue;
      view.push(v);
      patch.push(n);
      weight.push(1 / count / views);
    }
  }
  return {
    view: Int32Array.from(view),
    patch: Int32Array.from(patch),
    weight: Float32Array.from(weight),
  };
}
