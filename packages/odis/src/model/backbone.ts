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
import type { Visibility } from "./attention.js";
import { Block } from "./block.js";
import { TokenLayout } from "./tokens.js";

/** Shape of a Vision Transformer. */
export interface BackboneConfig {
  /** token width; a multiple of `heads` */
  readonly dim: number;
  readonly depth: number;
  readonly heads: number;
  readonly mlpRatio: number;
  /** side of a patch, pixels */
  readonly patch: number;
  /** side of the square image that position embeddings are laid out for, pixels */
  readonly imageSize: number;
  /** rate at the last block; grows linearly from 0 at the first */
  readonly dropPath: number;
}

export interface BackboneOptions {
  /** [B, N] or [B, O, N] bool: patches that [OBJ] may attend to; without it, all of them */
  readonly visible?: Tensor | undefined;
  /** [B, N] bool: patches replaced by the learned embedding (student only) */
  readonly hidden?: Tensor | undefined;
  readonly dropPath?: Generator | undefined;
  /** [R] int64: rows of the tokens flattened to [B * T, D] that are read; without it, all */
  readonly rows?: Tensor | undefined;
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

  /** @param hides whether it can replace hidden patches (a student can, a teacher need not) */
  constructor(
    readonly config: BackboneConfig,
    readonly layout: TokenLayout,
    hides: boolean,
  ) {
    super();
    const { dim, depth, heads, mlpRatio, patch, imageSize, dropPath } = config;
    const grid = imageSize / patch;
    this.clsToken = layout.cls ? uninitialised([1, 1, dim]) : undefined;
    this.objToken = layout.objects > 0 ? uninitialised([1, 1, dim]) : undefined;
    this.posEmbed = uninitialised([1, layout.special + grid * grid, dim]);
    this.maskedEmbed = hides ? uninitialised([1, dim]) : undefined;
    this.patchEmbed = new PatchEmbed(patch, dim);
    this.blocks = Array.from(
      { length: depth },
      (_, index) =>
        new Block(dim, heads, mlpRatio, depth > 1 ? (dropPath * index) / (depth - 1) : 0),
    );
    this.norm = new LayerNorm(dim);
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
   * @returns all tokens after the final norm, [B, T, D], or the rows asked for, [R, D]
   */
  forward(images: Tensor, options: BackboneOptions = {}): Tensor {
    const visibility = this.visibility(options.visible);
    let tokens = this.embed(images, options.hidden);
    const { dropPath } = options;
    for (const [index, block] of this.blocks.entries()) {
      const rows = index === this.blocks.length - 1 ? options.rows : undefined;
      tokens = block.forward(tokens, { visibility, dropPath, rows });
    }
    return this.norm.forward(tokens);
  }

  /**
   * Attention of the special tokens in the last block: [B, H, S, T] with S special tokens, each row
   * summing to 1 over the T keys.
   */
  lastAttention(images: Tensor, options: BackboneOptions = {}): Tensor {
    const visibility = this.visibility(options.visible);
    let tokens = this.embed(images, options.hidden);
    for (const block of this.blocks.slice(0, -1)) tokens = block.forward(tokens, { visibility });
    const last = this.blocks.at(-1)!;
    return last.attn.probabilities(last.norm1.forward(tokens), this.layout.special, visibility);
  }

  private visibility(visible?: Tensor): Visibility | undefined {
    if (!visible) return undefined;
    const perObject = visible.shape.length === 2 ? visible.unsqueeze(1) : visible;
    return { allowed: this.layout.allowed(perObject), firstRow: this.layout.firstObject };
  }

  /** Patches, hidden ones replaced, special tokens in front, positions added: [B, T, D]. */
  private embed(images: Tensor, hidden?: Tensor): Tensor {
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
      ...(this.objToken ? [this.objToken.expand([B, this.layout.objects, dim])] : []),
    ];
    return cat([...special, patches], 1).add(this.positions(H / patch, W / patch));
  }

  /**
   * Position embeddings for a grid of h x w patches: [1, T, D].
   *
   * Resized exactly as iBOT's `interpolate_pos_encoding`: bicubic, with scale factors
   * (h + 0.1) / side. The sampling positions follow these factors, not the ratio of sizes, so the
   * 0.1 is part of the numbers and not only a guard against rounding.
   */
  private positions(h: number, w: number): Tensor {
    const { special } = this.layout;
    const [, length, dim] = this.posEmbed.dims(3);
    const side = Math.sqrt(length - special);
    if (h * w === side * side && h === w) return this.posEmbed;
    const grid = this.posEmbed
      .narrow(1, special, side * side)
      .reshape([1, side, side, dim])
      .permute([0, 3, 1, 2]);
    const resized = call(
      "aten::upsample_bicubic2d",
      grid,
      [h, w],
      false,
      (h + 0.1) / side,
      (w + 0.1) / side,
    ) as Tensor;
    const patches = resized.permute([0, 2, 3, 1]).reshape([1, h * w, dim]);
    return cat([this.posEmbed.narrow(1, 0, special), patches], 1);
  }
}
