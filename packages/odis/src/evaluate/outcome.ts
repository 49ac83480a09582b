/** What became of each test item: what a share was counted from. */
export interface ShareOutcome {
  readonly kind: "share";
  /** [n] 1 = right, 0 = wrong */
  readonly hits: Uint8Array;
  /** [n] name of the image that an item belongs to */
  readonly images: readonly string[];
}

/** What became of each test image's pixels: what a mean intersection over union was counted from. */
export interface IouOutcome {
  readonly kind: "iou";
  /** [n] names, each once */
  readonly images: readonly string[];
  readonly classes: number;
  /** [n, classes] pixels */
  readonly intersections: Int32Array;
  /** [n, classes] pixels */
  readonly unions: Int32Array;
}

/** How far guesses of test items' numbers were off: what an R² was computed from. */
export interface FitOutcome {
  readonly kind: "fit";
  /** [n] name of the image that an item belongs to */
  readonly images: readonly string[];
  /** [n] squared errors of the guesses */
  readonly errors: Float64Array;
  /** [n] squared errors of the bank's mean, the guess without any feature */
  readonly deviations: Float64Array;
}

export type Outcome = ShareOutcome | IouOutcome | FitOutcome;

/** A measurement before its interval. */
export type Measured = readonly [name: string, outcome: Outcome];

/** An outcome as numbers per image that may be added up over images before they are scored. */
export interface ImageCounts {
  /** each once, in order of first appearance */
  readonly images: readonly string[];
  readonly width: number;
  /** [images, width] */
  readonly sums: Float64Array;
  /** observations: items of a share or a fit, images of an IoU */
  readonly n: number;
}

export function imageCounts(outcome: Outcome): ImageCounts {
  const { images } = outcome;
  if (outcome.kind !== "iou") {
    const [counted, of] =
      outcome.kind === "share" ? [outcome.hits, undefined] : [outcome.errors, outcome.deviations];
    const rows = new Map<string, number>();
    for (const image of images) if (!rows.has(image)) rows.set(image, rows.size);
    const sums = new Float64Array(2 * rows.size);
    for (const [item, image] of images.entries()) {
      const at = 2 * rows.get(image)!;
      sums[at]! += counted[item]!;
      sums[at + 1]! += of ? of[item]! : 1;
    }
    return { images: [...rows.keys()], width: 2, sums, n: images.length };
  }
  const { classes, intersections, unions } = outcome;
  const sums = new Float64Array(2 * intersections.length);
  for (let at = 0, row = 0; row < images.length; row += 1, at += 2 * classes) {
    sums.set(intersections.subarray(row * classes, (row + 1) * classes), at);
    sums.set(unions.subarray(row * classes, (row + 1) * classes), at + classes);
  }
  return { images, width: 2 * classes, sums, n: images.length };
}

/**
 * The measure of summed counts, at most 1. Share: hits / items. Fit: R² = 1 - errors / deviations,
 * below 0 where the bank's mean guesses better. IoU: the mean over the classes that
 * occur in truth or prediction of intersection / union (mmsegmentation, iBOT); NaN without any.
 */
export function score(kind: Outcome["kind"], sums: Float64Array): number {
  if (kind === "share") return sums[0]! / sums[1]!;
  if (kind === "fit") return 1 - sums[0]! / sums[1]!;
  const classes = sums.length / 2;
  let total = 0;
  let present = 0;
  for (let c = 0; c < classes; c += 1) {
    if (sums[classes + c] === 0) continue;
    total += sums[c]! / sums[classes + c]!;
    present += 1;
  }
  return total / present;
}
