import { Rng } from "../rng.js";
import type { FrameOptions } from "./frame.js";
import { labelMap, patchShares } from "./label-map.js";
import type { PassReader, PassRow, PassTokens } from "./passes.js";
import type { Samples } from "./probe.js";

export interface PatchSampleOptions extends FrameOptions {
  /** with the background */
  readonly classes: number;
  /** patches of an image at most */
  readonly perImage: number;
  /**
   * `balanced`: each class of an image is as likely as another (Hummingbird's memory); `uniform`:
   * each patch is
   */
  readonly rule: "balanced" | "uniform";
  readonly seed: number;
}

/** Collects some patches of every image: their features after the final norm, and what they show. */
export class PatchSample implements PassReader {
  readonly blocks = 1;
  readonly patches = true;
  private readonly features: Float32Array[] = [];
  private readonly targets: Float32Array[] = [];
  private readonly origins: number[] = [];

  /** @param width of a patch token */
  constructor(
    private readonly width: number,
    private readonly options: PatchSampleOptions,
  ) {}

  read(tokens: PassTokens, rows: readonly PassRow[]): void {
    const { size, patch, classes, perImage, rule, seed } = this.options;
    const patches = tokens.patches[0]!.toFloat32();
    const N = (size / patch) ** 2;
    for (const [row, { image }] of rows.entries()) {
      const shares = patchShares(labelMap(image, this.options), size, patch, classes);
      const rng = new Rng("patches", rule, seed, image.index);
      for (const n of drawn(weights(shares, classes, rule), perImage, rng)) {
        const begin = (row * N + n) * this.width;
        this.features.push(patches.slice(begin, begin + this.width));
        this.targets.push(shares.slice(n * classes, (n + 1) * classes));
        this.origins.push(image.index);
      }
    }
  }

  /** All that was collected, or that of some images. */
  samples(wanted: (image: number) => boolean = () => true): Samples {
    const rows = [...this.origins.keys()].filter((row) => wanted(this.origins[row]!));
    const join = (parts: readonly Float32Array[], width: number): Float32Array => {
      const joined = new Float32Array(rows.length * width);
      for (const [to, row] of rows.entries()) joined.set(parts[row]!, to * width);
      return joined;
    };
    return {
      features: join(this.features, this.width),
      width: this.width,
      targets: join(this.targets, this.options.classes),
      classes: this.options.classes,
    };
  }

  /** Images that something was collected from, each once. */
  get images(): readonly number[] {
    return [...new Set(this.origins)];
  }
}

/** [N] chances to be drawn; 0 where nobody knows what a patch shows. */
function weights(
  shares: Float32Array,
  classes: number,
  rule: PatchSampleOptions["rule"],
): Float64Array {
  const totals = new Float64Array(classes);
  for (const [at, share] of shares.entries()) totals[at % classes]! += share;
  return Float64Array.from({ length: shares.length / classes }, (_, n) => {
    const row = shares.subarray(n * classes, (n + 1) * classes);
    if (rule === "uniform") return Math.sign(row.reduce((sum, share) => sum + share, 0));
    return row.reduce((sum, share, c) => sum + (share > 0 ? share / totals[c]! : 0), 0);
  });
}

/** Indices drawn without replacement in proportion to weights (Efraimidis and Spirakis 2006). */
function drawn(weights: Float64Array, count: number, rng: Rng): number[] {
  const keys = Array.from(weights, (weight, index) => {
    const waits = -Math.log(1 - rng.uniform()); // drawn for every patch: no draw depends on labels
    return { index, key: weight > 0 ? waits / weight : Infinity };
  });
  return keys
    .filter(({ key }) => key < Infinity)
    .toSorted((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ index }) => index);
}
