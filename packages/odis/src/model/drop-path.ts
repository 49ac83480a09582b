import { call, empty, fromBuffer, type Generator, randperm, type Tensor } from "@odis/torch";

/**
 * How images are chosen that skip a residual branch. `sample`: each by chance of its own (Huang et
 * al. 2016; DINO, iBOT). `subset`: always the same number of them (DINOv2 `layers/block.py`), which
 * it uses above a rate of .1.
 */
export type DropRule = "sample" | "subset";

/** Stochastic depth in one pass of a block. */
export interface DropPath {
  /** probability with which an image keeps a residual branch, (0, 1] */
  readonly keep: number;
  readonly rule: DropRule;
  readonly generator: Generator;
}

/** Below this rate DINOv2 draws each image by itself. */
const SUBSET_FROM = 0.1;

/** The images that keep their branch, in rising order, and what their branches are scaled by. */
function draw(
  images: number,
  { keep, rule, generator }: DropPath,
): { readonly kept: readonly number[]; readonly scale: number } {
  // On the CPU, so that nobody waits for a device.
  if (rule === "subset" && 1 - keep > SUBSET_FROM) {
    const count = Math.max(1, Math.floor(images * keep));
    const kept = randperm(images, { generator }).toNumbers().slice(0, count);
    return { kept: kept.toSorted((a, b) => a - b), scale: images / count };
  }
  const drawn = empty([images]).bernoulli_(keep, generator).toNumbers();
  return { kept: drawn.flatMap((one, image) => (one ? [image] : [])), scale: 1 / keep };
}

/**
 * x + branch(x), where an image that drops the branch keeps x, and the branches of the others are
 * scaled up so that the expectation stays. The branch is computed for those others only.
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
  const { kept, scale } = draw(B, dropPath);
  if (kept.length === 0) return x;
  if (kept.length === B) return x.add(branch(x), scale);
  const { device } = x;
  const index = fromBuffer(BigInt64Array.from(kept, BigInt), [kept.length]).to({ device });
  // Mixed precision leaves the branch in its own type; the sum stays in that of x.
  const update = branch(x.indexSelect(0, index), index).to({ dtype: x.dtype });
  return call("aten::index_add", x, 0, index, update, scale) as Tensor;
}

/**
 * Scale of the branch for single rows of the tokens flattened to [B * T, D], 0 for those that drop
 * it: [R, 1]
 *
 * @param rows [R] int64
 */
export function rowScales(
  [B, T]: readonly [number, number],
  rows: Tensor,
  dropPath: DropPath,
): Tensor {
  const { kept, scale } = draw(B, dropPath);
  const scales = new Float32Array(B);
  for (const image of kept) scales[image] = scale;
  return fromBuffer(scales, [B, 1])
    .to({ device: rows.device })
    .expand([B, T])
    .reshape([B * T, 1])
    .indexSelect(0, rows);
}
