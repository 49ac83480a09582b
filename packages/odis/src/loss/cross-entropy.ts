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
