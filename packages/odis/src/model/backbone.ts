import {
  call,
  cat,
  fill_,
  type Generator,
  LayerNorm,
  linear,
  Module,
  type Tensor,
  truncNormal_,
  uninitialised,
  where,
} from "@odis/torch";
import { flatRows, type Visibility } from "./attention.js";
import { Block, type BlockConfig } from "./block.js";
import type { BlockDrops } from "./drop-path.js";
import type { ActivationCheckpointing } from "./checkpointing.js";
import type { Packing } from "./packing.js";
import type { ObjectAttention, TokenLayout } from "./tokens.js";

/** Shape of a Vision Transformer. `dim` is a multiple of `heads`. */
export interface BackboneConfig extends BlockConfig {
  readonly depth: number;
  /** side of a patch, pixels */
  readonly patch: number;
  /** side of the square image that position embeddings are laid out for, pixels */
  readonly imageSize: number;
  /** whether all [OBJ] tokens begin as one vector, or each has its own */
  readonly objectEmbedding: "shared" | "each";
  /** the same for their position embeddings */
  readonly objectPosition: "shared" | "each";
}

export interface BackboneOptions {
  /**
   * [B, N] or [B, O, N] bool: patches that each [OBJ] may attend to; without it, all of them. O
   * decides how many [OBJ] tokens there are in this pass, so that a network trained on several
   * objects can be asked for one. Without [OBJ], [B, N] restricts [CLS].
   */
  readonly visible?: Tensor | undefined;
  /** who is restricted by `visible`; default: as in training */
  readonly attention?: ObjectAttention | undefined;
  /** [B, N] bool: patches replaced by the learned embedding (student only) */
  readonly hidden?: Tensor | undefined;
  /** branches that are dropped (student only), one entry a block */
  readonly drops?: readonly (BlockDrops | undefined)[] | undefined;
  /**
   * [R] int64: rows of the tokens flattened to [B * T, D], or of those that `packing` keeps, that are
   * read; without it, all
   */
  readonly rows?: Tensor | undefined;
  /** computes these tokens only; `visible` and `attention` then say nothing */
  readonly packing?: Packing | undefined;
  /** keeps only the blocks' inputs for the backward pass and computes the rest again */
  readonly checkpointing?: ActivationCheckpointing | undefined;
}

/** Splits images into patches and projects each: a convolution whose stride is its kernel. */
class PatchEmbed extends Module {
  readonly proj: PatchProjection;

  constructor(patch: number, dim: number) {
    super();
    this.proj = new PatchProjection(patch, dim);
  }

  /** [B, 3, H, W] -> [B, N, D], patches row by row */
  forward(images: Tensor): Tensor {
    return this.proj.forward(images);
  }
}

class PatchProjection extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    private readonly patch: number,
    dim: number,
  ) {
    super();
    this.weight = uninitialised([dim, 3, patch, patch]);
    this.bias = uninitialised([dim]);
  }

  forward(images: Tensor): Tensor {
    const [B, C, H, W] = images.dims(4);
    const p = this.patch;
    const [h, w] = [H / p, W / p];
    // One matrix product: on a CPU several times the speed of a strided convolution.
    const patches = images
      .reshape([B, C, h, p, w, p])
      .permute([0, 2, 4, 1, 3, 5])
      .reshape([B, h * w, C * p * p]);
    return linear(patches, this.weight.flatten(1), this.bias);
  }
}

/** Vision Transformer with the tokens of a `TokenLayout` before its patches. */
export class Backbone extends Module {
  readonly clsToken: Tensor | undefined;
  readonly objToken: Tensor | undefined;
  readonly posEmbed: Tensor;
  readonly maskedEmbed: Tensor | undefined;
  readonly patchEmbed: PatchEmbed;
  readonly blocks: readonly Block[];
  readonly norm: LayerNorm;
  /** entries of the position embedding before those of the patches */
  private readonly special: number;

  /** @param hides whether it can replace hidden patches (a student can, a teacher need not) */
  constructor(
    readonly config: BackboneConfig,
    readonly layout: TokenLayout,
    hides: boolean,
  ) {
    super();
    const { dim, depth, patch, imageSize, normEpsilon } = config;
    const grid = imageSize / patch;
    const entries = (of: "shared" | "each"): number =>
      of === "each" ? layout.objects : Math.min(1, layout.objects);
    this.clsToken = layout.cls ? uninitialised([1, 1, dim]) : undefined;
    this.objToken =
      layout.objects > 0 ? uninitialised([1, entries(config.objectEmbedding), dim]) : undefined;
    this.special = layout.firstObject + entries(config.objectPosition);
    this.posEmbed = uninitialised([1, this.special + grid * grid, dim]);
    this.maskedEmbed = hides ? uninitialised([1, dim]) : undefined;
    this.patchEmbed = new PatchEmbed(patch, dim);
    this.blocks = Array.from({ length: depth }, () => new Block(config));
    this.norm = new LayerNorm(dim, normEpsilon);
  }

  /** Truncated normals of .02, zero biases and mask embedding (iBOT `models/vision_transformer.py`). */
  init(generator: Generator): this {
    for (const weight of [this.clsToken, this.objToken, this.posEmbed, this.patchEmbed.proj.weight])
      if (weight) truncNormal_(weight, 0.02, generator);
    fill_(this.patchEmbed.proj.bias, 0);
    if (this.maskedEmbed) fill_(this.maskedEmbed, 0);
    for (const block of this.blocks) block.init(generator);
    this.norm.init();
    return this;
  }

  /**
   * @param images [B, 3, H, W] float32, normalised by ImageNet's mean and deviation; H and W are
   *   multiples of the patch size
   * @returns all tokens after the final norm, [B, T, D], those of a packing, or the rows asked for, [R, D]
   */
  forward(images: Tensor, options: BackboneOptions = {}): Tensor {
    const { drops, checkpointing, packing } = options;
    const { layout, visibility } = packing
      ? { layout: packing.layout, visibility: undefined }
      : this.pass(options);
    checkpointing?.keep(visibility?.allowed);
    const all = this.embed(images, layout, options.hidden);
    let tokens = packing ? flatRows(all, packing.kept) : all;
    for (const [index, block] of this.blocks.entries()) {
      const rows = index === this.blocks.length - 1 ? options.rows : undefined;
      const run = (x: Tensor): Tensor =>
        block.forward(x, { visibility, packing, drops: drops?.[index], rows });
      tokens = checkpointing ? checkpointing.run(index, tokens, run) : run(tokens);
    }
    return this.norm.forward(tokens);
  }

  /**
   * Tokens after each of the last `count` blocks (all, when there are fewer), each through the
   * final norm: [B, T, D] each, the last block's last; that one is what `forward` gives.
   */
  lastBlocks(images: Tensor, count: number, options: BackboneOptions = {}): Tensor[] {
    const { layout, visibility } = this.pass(options);
    let tokens = this.embed(images, layout);
    const read: Tensor[] = [];
    for (const [index, block] of this.blocks.entries()) {
      tokens = block.forward(tokens, { visibility });
      if (index >= this.blocks.length - count) read.push(this.norm.forward(tokens));
    }
    return read;
  }

  /**
   * Attention of the first `rows` tokens, default: of the special ones, in one block, default: the
   * last: [B, H, rows, T], each row summing to 1 over the T keys.
   *
   * @param block from 0
   */
  attention(
    images: Tensor,
    options: BackboneOptions = {},
    {
      rows,
      block = this.blocks.length - 1,
    }: { readonly rows?: number | undefined; readonly block?: number | undefined } = {},
  ): Tensor {
    const { layout, visibility } = this.pass(options);
    let tokens = this.embed(images, layout, options.hidden);
    for (const before of this.blocks.slice(0, block))
      tokens = before.forward(tokens, { visibility });
    const { attn, norm1 } = this.blocks[block]!;
    return attn.probabilities(norm1.forward(tokens), rows ?? layout.special, visibility);
  }

  /** The tokens of one pass, and who may look at whom in it. */
  private pass({ visible, attention = this.layout.attention }: BackboneOptions): {
    readonly layout: TokenLayout;
    readonly visibility: Visibility | undefined;
  } {
    if (!visible) return { layout: this.layout, visibility: undefined };
    const perObject = visible.shape.length === 2 ? visible.unsqueeze(1) : visible;
    const objects = this.layout.objects > 0 ? perObject.dims(3)[1] : 0;
    const layout = this.layout.withObjects(objects, attention);
    return { layout, visibility: layout.visibility(perObject) };
  }

  /** Patches, hidden ones replaced, special tokens in front, positions added: [B, T, D]. */
  private embed(images: Tensor, { objects }: TokenLayout, hidden?: Tensor): Tensor {
    const [B, , H, W] = images.dims(4);
    const { dim, patch } = this.config;
    let patches = this.patchEmbed.forward(images);
    if (hidden) {
      if (!this.maskedEmbed)
        throw new Error("internal: a network without masked_embed hides nothing");
      patches = where(hidden.unsqueeze(-1), this.maskedEmbed.unsqueeze(0), patches);
    }
    const special = [
      ...(this.clsToken ? [this.clsToken.expand([B, 1, dim])] : []),
      ...(this.objToken ? [entriesOf(this.objToken, objects).expand([B, objects, dim])] : []),
    ];
    return cat([...special, patches], 1).add(this.positions(H / patch, W / patch, objects));
  }

  /** Position embeddings of the special tokens and a grid of h x w patches: [1, T, D]. */
  private positions(h: number, w: number, objects: number): Tensor {
    const { special, layout } = this;
    const [, length] = this.posEmbed.dims(3);
    const side = Math.sqrt(length - special);
    const resize = h * w !== side * side || h !== w;
    if (!resize && special === layout.firstObject + objects) return this.posEmbed;
    const first = this.posEmbed.narrow(1, 0, layout.firstObject);
    const perObject = this.posEmbed.narrow(1, layout.firstObject, special - layout.firstObject);
    const ofObjects = layout.objects > 0 ? [entriesOf(perObject, objects)] : [];
    const ofPatches = this.posEmbed.narrow(1, special, side * side);
    const patches = resize ? resizePositions(ofPatches, h, w) : ofPatches;
    return cat([first, ...ofObjects, patches], 1);
  }
}

/** Entries [1, K, D] of `objects` tokens: the first ones, or one for all. */
function entriesOf(entries: Tensor, objects: number): Tensor {
  const [, K, dim] = entries.dims(3);
  if (K === 1) return entries.expand([1, objects, dim]);
  if (objects > K)
    throw new Error(`internal: ${objects} objects, but only ${K} [OBJ] tokens were learned`);
  return entries.narrow(1, 0, objects);
}

/**
 * Position embeddings of a square of patches, [1, side * side, D], for a grid of h x w: [1, h * w, D].
 * With `from` of another grid, [rows, columns]: [1, rows * columns, D].
 *
 * Resized exactly as iBOT's `interpolate_pos_encoding`: bicubic, with scale factors
 * (h + 0.1) / side. The sampling positions follow these factors, not the ratio of sizes, so the
 * 0.1 is part of the numbers and not only a guard against rounding.
 */
export function resizePositions(
  patches: Tensor,
  h: number,
  w: number,
  from?: readonly [rows: number, columns: number],
): Tensor {
  const [, count, dim] = patches.dims(3);
  const side = Math.sqrt(count);
  const [rows, columns] = from ?? [side, side];
  const grid = patches.reshape([1, rows, columns, dim]).permute([0, 3, 1, 2]);
  const factors = [(h + 0.1) / rows, (w + 0.1) / columns] as const;
  const resized = call("aten::upsample_bicubic2d", grid, [h, w], false, ...factors) as Tensor;
  return resized.permute([0, 2, 3, 1]).reshape([1, h * w, dim]);
}
