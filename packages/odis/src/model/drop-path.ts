import { call, empty, fromBuffer, type Generator, type Tensor } from "@odis/torch";

/** Stochastic depth per sample (Huang et al. 2016) in one pass of a block. */
export interface DropPath {
  /** probability with which an image keeps a residual branch, (0, 1] */
  readonly keep: number;
  readonly generator: Generator;
}

/** 1 where an image keeps its branch, else 0: [B], on the CPU, so that nobody waits for a device. */
function draw(images: number, { keep, generator }: DropPath): Tensor {
  return empty([images]).bernoulli_(keep, generator);
}

/**
 * x + branch(x), where an image that drops the branch keeps x, and the branches of the others are
 * scaled up by 1 / keep. The branch is computed for those others only.
 *
 * @param x [B, T, D]
 * @param branch gets some of the images and their numbers, [B'] int64, undefined for all of them
 */
export function addBranch(
  x: Tensor,
  dropPath: DropPath | undefined,
  branch: (images: Tensor, kept?: Tensor) => Tensor,
): Tensor {
  if (!dropPath) return x.add(branch(x));
  const [B] = x.dims(3);
  const drawn = draw(B, dropPath).toNumbers();
  const kept = drawn.flatMap((one, image) => (one ? [BigInt(image)] : []));
  if (kept.length === 0) return x;
  const scale = 1 / dropPath.keep;
  if (kept.length === B) return x.add(branch(x), scale);
  const { device } = x;
  const index = fromBuffer(BigInt64Array.from(kept), [kept.length]).to({ device });
  const update = branch(x.indexSelect(0, index), index);
  return call("aten::index_add", x, 0, index, update, scale) as Tensor;
}

/**
 * Scale of the branch for single rows of the tokens flattened to [B * T, D], 0 or 1 / keep: [R, 1]
 *
 * @param rows [R] int64
 */
export function rowScales(
  [B, T]: readonly [number, number],
  rows: Tensor,
  dropPath: DropPath,
): Tensor {
  const scales = draw(B, dropPath).div_(dropPath.keep).to({ device: rows.device });
  return scales
    .unsqueeze(1)
    .expand([B, T])
    .reshape([B * T, 1])
    .indexSelect(0, rows);
}
