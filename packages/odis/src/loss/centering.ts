import { eye, noGrad, type Tensor, tidy, where, zeros } from "@odis/torch";

/**
 * Moving mean of teacher logits, subtracted before the teacher's softmax (DINO section 3.1).
 *
 * Moved after it was used, from raw logits: c = momentum * c + (1 - momentum) * mean over rows.
 */
export class Center {
  /** [K], or [O, K] where each of an image's O tokens has a centre of its own */
  readonly value: Tensor;

  constructor(
    shape: readonly [K: number] | readonly [O: number, K: number],
    private readonly momentum: number,
    device: string,
  ) {
    this.value = zeros(shape, { device });
  }

  /** softmax((logits - centre) / temperature): [..., K] -> same; an image's tokens are innermost */
  sharpen(logits: Tensor, temperature: number): Tensor {
    const { shape } = this.value;
    const rows = shape.length === 1 ? logits : logits.reshape([-1, ...shape]);
    return rows.sub(this.value).div(temperature).softmax(-1).reshape(logits.shape);
  }

  /**
   * @param sum of this step's teacher logits over some rows, in the centre's shape
   * @param rows their number, [] or [O, 1]; a centre with none stays
   */
  update(sum: Tensor, rows: Tensor): void {
    noGrad(() =>
      tidy(() => {
        const mean = sum.div(rows);
        const moved = this.value.mul(this.momentum).add(mean.mul(1 - this.momentum));
        this.value.copy_(where(rows.gt(0), moved, this.value));
      }),
    );
  }
}

/**
 * Sinkhorn-Knopp: targets whose prototypes are used equally often (SwAV; DINOv2
 * `loss/ibot_patch_loss.py`). Alternates between prototypes summing to 1/K and rows summing to 1/R.
 *
 * @param logits raw teacher logits [R, K]
 * @returns rows that sum to 1, [R, K]
 */
export function sinkhorn(logits: Tensor, temperature: number, iterations: number): Tensor {
  const [R, K] = logits.dims(2);
  // In logarithms: a row whose logits are all far below the others' must not become 0 / 0.
  let shares = logits.div(temperature);
  for (let i = 0; i < iterations; i += 1) {
    shares = shares.sub(shares.logsumexp(0, true)).sub(Math.log(K));
    shares = shares.sub(shares.logsumexp(1, true)).sub(Math.log(R));
  }
  return shares.add(Math.log(R)).exp();
}

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
