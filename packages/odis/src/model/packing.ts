import type { Tensor } from "@odis/torch";
import { rowIndex } from "./attention.js";
import type { TokenLayout } from "./tokens.js";

/**
 * The tokens of a pass of which not all are computed: image after image, each sees its own. What is left
 * out must be what nobody reads and nobody that is read looks at; then nothing else changes.
 */
export interface Packing {
  /** of the pass */
  readonly layout: TokenLayout;
  /** [B + 1] int64, on the CPU: the rows of image b go from starts[b] up to starts[b + 1] */
  readonly starts: Tensor;
  /** [R] int64: what is kept of the tokens flattened to [B * T, D] */
  readonly kept: Tensor;
  /** [R] int64: the image of each row */
  readonly images: Tensor;
}

/** A packing, and where in it tokens are. */
export interface PackedObjects {
  readonly packing: Packing;
  /** row of the [OBJ] of each image, or of its [CLS] in a network without: B */
  readonly summaryRows: readonly number[];
  /** row of a patch of an image's object */
  readonly patchRow: (image: number, patch: number) => number;
}

/**
 * Keeps each image's [OBJ], or its [CLS] in a network without, and the patches of its object: all that
 * it depends on where objects are `isolated`.
 *
 * @param layout of a pass with one [OBJ] at most
 * @param visible [B, N], 1 = the patch belongs to the object
 */
export function packObjects(
  layout: TokenLayout,
  visible: Uint8Array,
  N: number,
  device: string,
): PackedObjects {
  const B = visible.length / N;
  const kept: number[] = [];
  const images: number[] = [];
  const starts = [0];
  const rowOf = new Int32Array(B * N).fill(-1);
  const summaries = layout.objects > 0 ? layout.flatObjects(B, N) : layout.flatCls(B, N);
  const summaryRows: number[] = [];
  for (let image = 0; image < B; image += 1) {
    summaryRows.push(kept.length);
    kept.push(summaries[image]!);
    for (let patch = 0; patch < N; patch += 1) {
      if (!visible[image * N + patch]) continue;
      rowOf[image * N + patch] = kept.length;
      kept.push(layout.flatPatch(image, patch, N));
    }
    while (images.length < kept.length) images.push(image);
    starts.push(kept.length);
  }
  return {
    packing: {
      layout,
      starts: rowIndex(starts, "cpu"),
      kept: rowIndex(kept, device),
      images: rowIndex(images, device),
    },
    summaryRows,
    patchRow(image, patch) {
      const row = rowOf[image * N + patch]!;
      if (row < 0)
        throw new Error(`internal: patch ${patch} of view ${image} is read, but was left out`);
      return row;
    },
  };
}
