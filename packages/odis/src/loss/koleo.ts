import { eye, noGrad, type Tensor } from "@odis/torch";

/** Distances below this are duplicates: they push nobody, instead of pushing with 1 / 0. */
const DUPLICATE = 1e-4;
/** Keeps roots and logarithms off 0, as published. */
const EPSILON = 1e-8;

/**
 * Kozachenko-Leonenko regulariser: pushes each feature away from its nearest neighbour in the batch
 * (Sablayrolles et al. 2019; DINOv2 `loss/koleo_loss.py`). The choice of neighbour has no gradient.
 *
 * @param features [R, D], one row per present object of one global view; R >= 2
 */
export function koleo(features: Tensor): Tensor {
  const [R] = features.dims(2);
  const unit = features.div(features.norm(-1, 2, true).clampMin(EPSILON));
  const nearest = noGrad(() => {
    const self = eye(R, { dtype: "bool", device: unit.device });
    return unit.matmul(unit.transpose(0, 1)).maskedFill(self, -2).argmax(-1);
  });
  const distance = unit.sub(unit.indexSelect(0, nearest)).add(EPSILON).norm(-1);
  return distance.clampMin(DUPLICATE).log().mean().neg();
}
