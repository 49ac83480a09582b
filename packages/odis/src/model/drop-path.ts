import { call, type Tensor } from "@odis/torch";

/**
 * How images are chosen that skip a residual branch. `sample`: each by chance of its own (Huang et
 * al. 2016; DINO, iBOT). `subset`: always the same number of them (DINOv2 `layers/block.py`), which
 * it uses above a rate of .1.
 */
export type DropRule = "sample" | "subset";

/** How often the branches of each block are dropped. */
export interface DropRates {
  readonly depth: number;
  /** rate at the last block, [0, 1) */
  readonly dropPath: number;
  /** whether the rate grows linearly from 0 at the first block, or is the same in all (DINOv2) */
  readonly dropPathDepth: "linear" | "uniform";
}

/** The rate of each block. */
export function dropRates({ depth, dropPath, dropPathDepth }: DropRates): readonly number[] {
  return Array.from({ length: depth }, (_, block) => {
    if (dropPathDepth === "uniform") return dropPath;
    return depth > 1 ? (dropPath * block) / (depth - 1) : 0;
  });
}

/** Below this rate DINOv2 draws each image by itself. */
const SUBSET_FROM = 0.1;

/**
 * Which images keep a branch.
 *
 * @param uniforms a number of each image, uniform in [0, 1)
 * @param rate probability with which an image drops it, [0, 1)
 * @returns their numbers, rising, and what their branches are scaled by
 */
export function keptImages(
  uniforms: ArrayLike<number>,
  rate: number,
  rule: DropRule,
): { readonly kept: readonly number[]; readonly scale: number } {
  const images = Array.from(uniforms, (_, image) => image);
  const keep = 1 - rate;
  if (rule === "sample" || rate <= SUBSET_FROM)
    return { kept: images.filter((image) => uniforms[image]! < keep), scale: 1 / keep };
  const count = Math.max(1, Math.floor(images.length * keep));
  const least = images.toSorted((a, b) => uniforms[a]! - uniforms[b]! || a - b).slice(0, count);
  return { kept: least.toSorted((a, b) => a - b), scale: images.length / count };
}

/** The images that keep a branch, on the device. */
export interface Kept {
  /** their numbers, rising, [n] int64 */
  readonly images: Tensor;
  /** n */
  readonly count: number;
  /** what their branches are scaled by, so that the expectation stays */
  readonly scale: number;
  /** the same for every image, 0 for those that drop the branch, [B] */
  readonly scales: Tensor;
}

/** Who keeps the two residual branches of a block in one pass. */
export interface BlockDrops {
  readonly attention: Kept;
  readonly feedForward: Kept;
}

/**
 * x + branch(x), where an image that drops the branch keeps x. The branch is computed for the others
 * only.
 *
 * @param x [B, T, D]
 * @param branch gets some of the images and their numbers, [n] int64, undefined for all of them
 */
export function addBranch(
  x: Tensor,
  kept: Kept | undefined,
  branch: (images: Tensor, kept?: Tensor) => Tensor,
): Tensor {
  if (!kept) return x.add(branch(x));
  const [B] = x.dims(3);
  const { images, count, scale } = kept;
  if (count === 0) return x;
  if (count === B) return x.add(branch(x), scale);
  // Mixed precision leaves the branch in its own type; the sum stays in that of x.
  const update = branch(x.indexSelect(0, images), images).to({ dtype: x.dtype });
  return call("aten::index_add", x, 0, images, update, scale) as Tensor;
}

/**
 * Scale of the branch for single rows of flattened tokens, 0 for those that drop it: [R, 1]
 *
 * @param images T, when every image has as many rows, or the image of each row, [rows] int64
 * @param rows [R] int64; without it, all
 */
export function rowScales({ scales }: Kept, images: number | Tensor, rows?: Tensor): Tensor {
  const all =
    typeof images === "number" ? scales.repeatInterleave(images, 0) : scales.indexSelect(0, images);
  return (rows ? all.indexSelect(0, rows) : all).unsqueeze(-1);
}
