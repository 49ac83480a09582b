import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import type { DataSource } from "../data/source.js";
import type { Network } from "../model/network.js";
import { normalise } from "../model/pixels.js";
import type { FramedImage } from "./frame.js";
import {
  type Extractor,
  type FeatureRows,
  gather,
  type GatherOptions,
  type Gathered,
  type Item,
} from "./gather.js";

/**
 * `mask`: one pass per object, [OBJ] sees the object's patches. `none`: one pass per image, [OBJ]
 * sees everything, and each object gets its image's feature (method: inference).
 */
export type MaskMode = "mask" | "none";

/** A feature per row, with its class and its origin. */
export interface FeatureSet {
  /** [n, width], after the final norm, not normalised to unit length */
  readonly features: Float32Array;
  readonly width: number;
  /** [n] */
  readonly labels: Int32Array;
  readonly items: readonly Item[];
}

/** Tokens in one forward pass at most: keeps the activations of a ViT-S within some 200 MB. */
const tokensAtOnce = 16_384;

/** The [OBJ] token's feature, after the final norm, of every object pushed. */
export class TokenExtractor implements Extractor {
  private readonly done: Float32Array[] = [];
  private readonly repeats: number[] = [];
  private waiting: { readonly pixels: Uint8Array; readonly visible: Uint8Array | undefined }[] = [];
  private readonly rowsAtOnce: number;

  /** @param rows in one forward pass; only time and memory depend on it */
  constructor(
    private readonly network: Network,
    private readonly mode: MaskMode,
    private readonly size: number,
    rows?: number,
  ) {
    const { config, layout } = network.backbone;
    const tokens = (size / config.patch) ** 2 + layout.special;
    this.rowsAtOnce = rows ?? Math.max(1, Math.min(256, Math.floor(tokensAtOnce / tokens)));
  }

  push({ pixels, objects }: FramedImage): void {
    // Patches look at [OBJ], too, so objects of one image cannot share a pass: each has its own row.
    if (this.mode === "mask") for (const { visible } of objects) this.add(pixels, 1, visible);
    else this.add(pixels, objects.length);
  }

  finish(): FeatureRows {
    this.run();
    const width = this.network.backbone.config.dim;
    const total = this.repeats.reduce((sum, times) => sum + times, 0);
    const features = new Float32Array(total * width);
    let to = 0;
    let row = 0;
    for (const block of this.done)
      for (let from = 0; from < block.length; from += width, row += 1)
        for (let i = 0; i < this.repeats[row]!; i += 1, to += width)
          features.set(block.subarray(from, from + width), to);
    return { features, width };
  }

  private add(pixels: Uint8Array, times: number, visible?: Uint8Array): void {
    this.waiting.push({ pixels, visible });
    this.repeats.push(times);
    if (this.waiting.length === this.rowsAtOnce) this.run();
  }

  private run(): void {
    if (this.waiting.length === 0) return;
    const rows = this.waiting;
    this.waiting = [];
    this.done.push(
      objectTokens(
        this.network,
        this.size,
        rows.map(({ pixels }) => pixels),
        this.mode === "mask" ? rows.map(({ visible }) => visible!) : undefined,
      ),
    );
  }
}

/**
 * The [OBJ] token after the final norm ([CLS] in a network without [OBJ]).
 *
 * @param pixels [3, size, size] each
 * @param visible [N] each, 1 = [OBJ] may look; without it, everything
 * @returns [rows, D]
 */
export function objectTokens(
  network: Network,
  size: number,
  pixels: readonly Uint8Array[],
  visible?: readonly Uint8Array[],
): Float32Array {
  return noGrad(() =>
    tidy(() => {
      const { layout } = network.backbone;
      const tokens = network.forward(
        inputImages(network, size, pixels),
        visible && { visible: inputVisible(network, visible) },
      );
      const summary = layout.objects > 0 ? layout.objectsOf(tokens) : layout.clsOf(tokens);
      return summary.narrow(1, 0, 1).toFloat32();
    }),
  );
}

/** [rows, 3, size, size] normalised, on the network's device */
export function inputImages(network: Network, size: number, pixels: readonly Uint8Array[]): Tensor {
  const bytes = new Uint8Array(pixels.length * 3 * size * size);
  for (const [row, image] of pixels.entries()) bytes.set(image, row * image.length);
  return normalise(bytes, [pixels.length, 3, size, size], deviceOf(network));
}

/** [rows, N] bool, on the network's device */
export function inputVisible(network: Network, visible: readonly Uint8Array[]): Tensor {
  const device = deviceOf(network);
  const rows = visible.map((bits) => fromBuffer(bits, [1, bits.length], { dtype: "bool" }));
  return cat(rows, 0).to({ device });
}

export function deviceOf(network: Network): string {
  return network.backbone.posEmbed.device;
}

export interface ObjectFeatureOptions extends Omit<GatherOptions, "patch"> {
  readonly mode: MaskMode;
  /** rows in one forward pass; only time and memory depend on it */
  readonly rows?: number | undefined;
}

/** One feature per labelled object of a source. */
export async function objectFeatures(
  network: Network,
  source: DataSource,
  { mode, rows, ...options }: ObjectFeatureOptions,
): Promise<FeatureSet & Pick<Gathered, "images" | "omitted">> {
  const { patch } = network.backbone.config;
  const extractor = new TokenExtractor(network, mode, options.size, rows);
  const { features, ...rest } = await gather(source, { ...options, patch }, { extractor });
  return { ...rest, ...features["extractor"]! };
}

/** One feature per image without a mask; its class is that of its largest labelled object. */
export async function imageFeatures(
  network: Network,
  source: DataSource,
  options: Omit<ObjectFeatureOptions, "mode">,
): Promise<FeatureSet & Pick<Gathered, "images" | "omitted">> {
  const all = await objectFeatures(network, source, { ...options, mode: "none" });
  return { ...all, ...pick(all, largestPerImage(all.items)) };
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
