import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import {
  type BackboneOptions,
  type Network,
  normalise,
  type ObjectAttention,
  packObjects,
  rowIndex,
  type TokenLayout,
} from "../model/index.js";
import { type FramedImage, type FrameOptions, type InferenceMode, modeRules } from "./frame.js";
import type { Consumer } from "./gather.js";

/** One input of the network. */
export interface PassRow {
  readonly image: FramedImage;
  /** [3, size, size] */
  readonly pixels: Uint8Array;
  /** [N], 1 = the summary token may look; without it, everything */
  readonly visible?: Uint8Array | undefined;
  /** for each feature that is read from this row: the patches it is about, without it all of them */
  readonly outputs: readonly (Uint8Array | undefined)[];
}

/** What comes out of a pass, after the final norm: one tensor a block, the last block's last. */
export interface PassTokens {
  /** [rows, D] each: [OBJ], or [CLS] in a network without one */
  readonly summaries: readonly Tensor[];
  /** [rows, N, D] each; none when nobody reads them */
  readonly patches: readonly Tensor[];
}

/** Takes what it needs from each pass. */
export interface PassReader {
  /** how many of the last blocks it wants */
  readonly blocks: number;
  /** whether it reads patch tokens: without them the last block is cheaper */
  readonly patches: boolean;
  /** @param tokens freed afterwards */
  read(tokens: PassTokens, rows: readonly PassRow[]): void;
}

/**
 * What an object's feature is. `token`: the summary token ([OBJ], or [CLS] in a network without
 * one). `pooled`: the mean of the patch tokens, of the object's alone where the mode restricts.
 */
export const featureKinds = ["token", "pooled"] as const;
export type FeatureKind = (typeof featureKinds)[number];

/** Tokens in one forward pass at most: keeps the activations of a ViT-S within some 200 MB. */
const tokensAtOnce = 16_384;

/** Rows in one forward pass, by their number of tokens. */
export function rowsAtOnce({ backbone: { config, layout } }: Network, size: number): number {
  const tokens = (size / config.patch) ** 2 + layout.special;
  return Math.max(1, Math.min(256, Math.floor(tokensAtOnce / tokens)));
}

/** Runs images through a network in batches, by one inference mode. */
export class Passes implements Consumer {
  private waiting: PassRow[] = [];
  private readonly rowsAtOnce: number;
  private readonly wanted: { readonly blocks: number; readonly patches: boolean };

  /** @param rows in one forward pass; only time and memory depend on it */
  constructor(
    private readonly network: Network,
    private readonly mode: InferenceMode,
    private readonly kind: FeatureKind,
    private readonly size: number,
    private readonly readers: readonly PassReader[],
    rows?: number,
  ) {
    this.rowsAtOnce = rows ?? rowsAtOnce(network, size);
    this.wanted = {
      blocks: Math.max(...readers.map(({ blocks }) => blocks)),
      patches: readers.some(({ patches }) => patches),
    };
  }

  push(image: FramedImage): void {
    const { patch } = this.network.backbone.config;
    for (const row of passRows(image, this.mode, this.kind, { size: this.size, patch })) {
      this.waiting.push(row);
      if (this.waiting.length === this.rowsAtOnce) this.run();
    }
  }

  finish(): void {
    if (this.waiting.length > 0) this.run();
  }

  private run(): void {
    const rows = this.waiting;
    this.waiting = [];
    noGrad(() =>
      tidy(() => {
        const wanted = { ...this.wanted, attention: modeRules[this.mode].attention };
        const { summaries, patches } = forwardRows(this.network, this.size, rows, wanted);
        for (const reader of this.readers) {
          const last = <T>(all: readonly T[]): readonly T[] => all.slice(-reader.blocks);
          tidy(() => reader.read({ summaries: last(summaries), patches: last(patches) }, rows));
        }
      }),
    );
  }
}

/**
 * The inputs that an image's objects need. Patches look at the summary token, too, so masked
 * objects cannot share a pass, however many [OBJ] tokens there are; means of patches can, where patches see all.
 */
function passRows(
  image: FramedImage,
  mode: InferenceMode,
  kind: FeatureKind,
  options: Pick<FrameOptions, "size" | "patch">,
): readonly PassRow[] {
  const { input, restricts, attention } = modeRules[mode];
  const { objects, pixels } = image;
  if (input)
    return objects.map((object) => {
      const own = input(image, object, options);
      return {
        image,
        pixels: own.pixels,
        visible: kind === "token" ? own.visible : undefined,
        outputs: [own.visible],
      };
    });
  if (restricts && (kind === "token" || attention))
    return objects.map(({ visible }) => ({ image, pixels, visible, outputs: [visible] }));
  return [
    { image, pixels, outputs: objects.map(({ visible }) => (restricts ? visible : undefined)) },
  ];
}

/** Runs rows through a network, all at once. */
export function forwardRows(
  network: Network,
  size: number,
  rows: readonly Pick<PassRow, "pixels" | "visible">[],
  {
    blocks,
    patches,
    attention,
  }: {
    readonly blocks: number;
    readonly patches: boolean;
    /** who is restricted by an object; default: as in training */
    readonly attention?: ObjectAttention | undefined;
  },
): PassTokens {
  const { backbone } = network;
  const layout = inferenceLayout(network);
  const pixels = rows.map((row) => row.pixels);
  const visible = rows.flatMap((row) => (row.visible ? [row.visible] : []));
  const images = inputImages(network, size, pixels);
  const summaryAlone = blocks === 1 && !patches;
  const restriction = attention ?? asTrained(backbone.layout);
  if (summaryAlone && visible.length > 0 && restriction === "isolated") {
    const N = (size / backbone.config.patch) ** 2;
    const bytes = new Uint8Array(visible.length * N);
    for (const [row, bits] of visible.entries()) bytes.set(bits, row * N);
    const { packing, summaryRows } = packObjects(layout, bytes, N, images.device);
    const read = rowIndex(summaryRows, images.device);
    return { summaries: [backbone.forward(images, { packing, rows: read })], patches: [] };
  }
  const options = inferenceOptions(
    network,
    size,
    rows.length,
    visible.length > 0 ? visible : undefined,
    attention,
  );
  if (summaryAlone) {
    const N = (size / backbone.config.patch) ** 2;
    const flat =
      layout.objects > 0 ? layout.flatObjects(rows.length, N) : layout.flatCls(rows.length, N);
    const read = rowIndex(flat, images.device);
    return { summaries: [backbone.forward(images, { ...options, rows: read })], patches: [] };
  }
  const tokens = backbone.lastBlocks(images, blocks, options);
  return {
    summaries: tokens.map((block) => block.select(1, summaryRow(layout))),
    patches: tokens.map((block) => layout.patchesOf(block)),
  };
}

/** Index of the token that stands for the object or image: the first [OBJ], else [CLS]. */
export function summaryRow({ objects, firstObject }: TokenLayout): number {
  return objects > 0 ? firstObject : 0;
}

/** A network of several [OBJ] tokens is asked for one object at a time. */
export function inferenceLayout({ backbone }: Network): TokenLayout {
  return backbone.layout.withObjects(Math.min(1, backbone.layout.objects));
}

/**
 * @param visible [N] each, 1 = the summary token may look: also where it was not restricted in
 *   training, since how a network takes that is what is measured. Without it, it sees everything
 */
export function inferenceOptions(
  network: Network,
  size: number,
  rows: number,
  visible?: readonly Uint8Array[],
  attention?: ObjectAttention,
): Pick<BackboneOptions, "visible" | "attention"> {
  const { layout, config } = network.backbone;
  if (!visible && layout.objects < 2) return {};
  const all = new Uint8Array((size / config.patch) ** 2).fill(1);
  return {
    visible: inputVisible(network, visible ?? Array.from({ length: rows }, () => all)),
    attention: attention ?? asTrained(layout),
  };
}

/** Without [OBJ], and where objects only steered crops, there is no rule of training: the paper's. */
function asTrained({ attention, objects }: TokenLayout): ObjectAttention {
  return attention === "open" || objects === 0 ? "masked" : attention;
}

/** [rows, 3, size, size] normalised, on the network's device */
export function inputImages(network: Network, size: number, pixels: readonly Uint8Array[]): Tensor {
  const bytes = new Uint8Array(pixels.length * 3 * size * size);
  for (const [row, image] of pixels.entries()) bytes.set(image, row * image.length);
  return normalise(bytes, [pixels.length, 3, size, size], deviceOf(network));
}

/** [rows, 1, N] bool, on the network's device: one object in each row */
function inputVisible(network: Network, visible: readonly Uint8Array[]): Tensor {
  const device = deviceOf(network);
  const rows = visible.map((bits) => fromBuffer(bits, [1, 1, bits.length], { dtype: "bool" }));
  return cat(rows, 0).to({ device });
}

export function deviceOf(network: Network): string {
  return network.backbone.posEmbed.device;
}
