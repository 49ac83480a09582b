import { fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import type { DataSource } from "../data/index.js";
import type { Network } from "../model/index.js";
import type { FramedImage, InferenceMode } from "./frame.js";
import {
  type Extractor,
  type FeatureRows,
  gather,
  type Gathered,
  type GatherOptions,
  type Item,
} from "./gather.js";
import {
  type FeatureKind,
  forwardRows,
  Passes,
  type PassReader,
  type PassRow,
  type PassTokens,
} from "./passes.js";

/** A feature per row, with its class and its origin. */
export interface FeatureSet extends FeatureRows {
  /** [n] */
  readonly labels: Int32Array;
  readonly items: readonly Item[];
}

export interface NetworkFeatureOptions {
  readonly mode: InferenceMode;
  /** side of the network's input, pixels */
  readonly size: number;
  /** default `token` */
  readonly kind?: FeatureKind | undefined;
  /** summaries of how many of the last blocks stand side by side, oldest first; default 1 */
  readonly blocks?: number | undefined;
  /** whether the mean of the last block's patch tokens follows them */
  readonly average?: boolean | undefined;
  /** rows in one forward pass; only time and memory depend on it */
  readonly rows?: number | undefined;
  /** read the same passes */
  readonly readers?: readonly PassReader[] | undefined;
}

/** A network's features of every object pushed, after the final norm. */
export class NetworkFeatures implements Extractor {
  private readonly reader: FeatureReader;
  private readonly passes: Passes;

  constructor(network: Network, options: NetworkFeatureOptions) {
    const { mode, size, kind = "token", blocks = 1, average = false, readers = [] } = options;
    this.reader = new FeatureReader(network, kind, blocks, average);
    this.passes = new Passes(network, mode, kind, size, [this.reader, ...readers], options.rows);
  }

  push(image: FramedImage): void {
    this.passes.push(image);
  }

  finish(): void {
    this.passes.finish();
  }

  rows(): FeatureRows {
    return this.reader.rows();
  }
}

class FeatureReader implements PassReader {
  readonly patches: boolean;
  private done: Float32Array[] = [];
  private readonly width: number;

  constructor(
    network: Network,
    private readonly kind: FeatureKind,
    readonly blocks: number,
    private readonly average: boolean,
  ) {
    const { config } = network.backbone;
    this.patches = average || kind === "pooled";
    this.width = (Math.min(blocks, config.depth) + Number(average)) * config.dim;
  }

  read({ summaries, patches }: PassTokens, rows: readonly PassRow[]): void {
    const read =
      this.kind === "token"
        ? summaries.map((block) => repeated(block, rows))
        : patches.map((block) => pooled(block, rows));
    if (this.average) read.push(pooled(patches.at(-1)!, rows));
    const [outputs, dim] = read[0]!.dims(2);
    const block = new Float32Array(outputs * this.width);
    for (const [part, values] of read.map((tensor) => tensor.toFloat32()).entries())
      for (let row = 0; row < outputs; row += 1)
        block.set(values.subarray(row * dim, (row + 1) * dim), row * this.width + part * dim);
    this.done.push(block);
  }

  rows(): FeatureRows {
    if (this.done.length !== 1) {
      const joined = new Float32Array(this.done.reduce((sum, { length }) => sum + length, 0));
      let to = 0;
      for (const block of this.done) {
        joined.set(block, to);
        to += block.length;
      }
      this.done = [joined]; // asked for again by every suite
    }
    return { features: this.done[0]!, width: this.width };
  }
}

type Outputs = Pick<PassRow, "outputs">;

/** Rows [rows, ...] of the outputs, in order: [outputs, ...]. */
function repeated(tokens: Tensor, rows: readonly Outputs[]): Tensor {
  const from = rows.flatMap(({ outputs }, row) => outputs.map(() => BigInt(row)));
  const { device } = tokens;
  return tokens.indexSelect(0, fromBuffer(BigInt64Array.from(from), [from.length], { device }));
}

/** [rows, N, D] -> [outputs, D]: the mean of the patches that each output is about. */
function pooled(tokens: Tensor, rows: readonly Outputs[]): Tensor {
  const patches = repeated(tokens, rows);
  const [outputs, N] = patches.dims(3);
  const shares = new Float32Array(outputs * N);
  for (const [output, visible] of rows.flatMap((row) => row.outputs).entries()) {
    const count = visible ? visible.reduce((sum, bit) => sum + bit, 0) : N;
    for (let n = 0; n < N; n += 1)
      shares[output * N + n] = (visible?.[n] ?? 1) / Math.max(1, count);
  }
  return fromBuffer(shares, [outputs, 1, N], { device: tokens.device }).bmm(patches).squeeze(1);
}

/** An image as network input, and what is asked for in it. */
export type FeatureRow = Pick<PassRow, "pixels" | "visible">;

/**
 * One feature after the final norm: see `featuresOf`.
 *
 * @returns [D]
 */
export function featureOf(
  network: Network,
  size: number,
  pixels: Uint8Array,
  visible?: Uint8Array,
  kind: FeatureKind = "token",
): Float32Array {
  return featuresOf(network, size, [{ pixels, visible }], kind);
}

/**
 * Features after the final norm, computed together: `rowsAtOnce` says how many fit.
 *
 * @param rows pixels [3, size, size]; visible [N], 1 = the patch belongs to the object, and without
 *   it everything counts
 * @param onPatches told the patch tokens [some rows, N, D] of rows that nothing restricts, freed
 *   afterwards, and which rows they are of, ascending: each such row once, by the same pass
 * @returns [rows, D]
 */
export function featuresOf(
  network: Network,
  size: number,
  rows: readonly FeatureRow[],
  kind: FeatureKind = "token",
  onPatches?: (tokens: Tensor, of: readonly number[]) => void,
): Float32Array {
  const { dim } = network.backbone.config;
  const features = new Float32Array(rows.length * dim);
  // A pass restricts all of its rows or none; the mean of patches restricts nobody.
  const restricted = (row: FeatureRow): boolean => kind === "token" && row.visible !== undefined;
  for (const which of [true, false]) {
    const mine = [...rows.keys()].filter((at) => restricted(rows[at]!) === which);
    if (mine.length === 0) continue;
    const got = passOf(
      network,
      size,
      mine.map((at) => rows[at]!),
      kind,
      which || !onPatches ? undefined : (tokens) => onPatches(tokens, mine),
    );
    for (const [row, at] of mine.entries())
      features.set(got.subarray(row * dim, (row + 1) * dim), at * dim);
  }
  return features;
}

/** [rows, D]: features from one forward pass */
function passOf(
  network: Network,
  size: number,
  rows: readonly FeatureRow[],
  kind: FeatureKind,
  onPatches: ((tokens: Tensor) => void) | undefined,
): Float32Array {
  return noGrad(() =>
    tidy(() => {
      if (kind === "token") {
        const wanted = { blocks: 1, patches: onPatches !== undefined };
        const { summaries, patches } = forwardRows(network, size, rows, wanted);
        onPatches?.(patches[0]!);
        return summaries[0]!.toFloat32();
      }
      const whole = rows.map(({ pixels }) => ({ pixels }));
      const { patches } = forwardRows(network, size, whole, { blocks: 1, patches: true });
      onPatches?.(patches[0]!);
      const outputs = rows.map(({ visible }) => ({ outputs: [visible] }));
      return pooled(patches[0]!, outputs).toFloat32();
    }),
  );
}

/** One feature per labelled object of a source. */
export async function objectFeatures(
  network: Network,
  source: DataSource,
  options: Omit<GatherOptions, "patch"> & NetworkFeatureOptions,
): Promise<FeatureSet & Pick<Gathered, "images" | "omitted">> {
  const { patch } = network.backbone.config;
  const extractor = new NetworkFeatures(network, options);
  const gathered = await gather(source, { ...options, patch }, [extractor]);
  return { ...gathered, ...extractor.rows() };
}

/** Rows of the largest object of each image; of equally large ones the first. */
export function largestPerImage(items: readonly Item[]): number[] {
  const best = new Map<number, number>();
  for (const [row, { image, area }] of items.entries()) {
    const known = best.get(image);
    if (known === undefined || area > items[known]!.area) best.set(image, row);
  }
  return [...best.values()];
}

/** Some rows of a feature set, in the order given. */
export function pick(set: FeatureSet, rows: readonly number[]): FeatureSet {
  const { width } = set;
  const features = new Float32Array(rows.length * width);
  for (const [to, row] of rows.entries())
    features.set(set.features.subarray(row * width, (row + 1) * width), to * width);
  return {
    features,
    width,
    labels: Int32Array.from(rows, (row) => set.labels[row]!),
    items: rows.map((row) => set.items[row]!),
  };
}
