import { eye, noGrad, type Tensor } from "@odis/torch";

/**
 * Kozachenko-Leonenko regulariser: pushes each feature away from its nearest neighbour in the batch
 * (Sablayrolles et al. 2019; DINOv2 `loss/koleo_loss.py`).
 *
 * Duplicates have distance 0: the distance is floored by `epsilon` in the logarithm and in the
 * difference, so value and gradient stay finite. The choice of neighbour carries no gradient.
 *
 * @param features [R, D], one row per present object of one global view; R >= 2
 */
export function koleo(features: Tensor, epsilon = 1e-8): Tensor {
  const [R] = features.dims(2);
  const unit = features.div(features.norm(2, -1, true).clampMin(epsilon));
  const nearest = noGrad(() =>
    unit.matmul(unit.transpose(0, 1)).maskedFill(eye(R, { dtype: "bool", device: unit.device }), -2).argmax(-1),
  );
  const distance = unit.sub(unit.indexSelect(0, nearest)).add(epsilon).norm(2, -1);
  return distance.add(epsilon).log().mean().neg();
}
