import { type Generator, Gelu, LayerNorm, Linear, Module, type Tensor } from "@odis/torch";
import { Attention, flatRows, type Visibility } from "./attention.js";
import { addBranch, type DropPath, rowScales } from "./drop-path.js";

/** Two linear layers with a GELU between: timm's `Mlp`. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly act = new Gelu();
  readonly fc2: Linear;

  constructor(dim: number, hidden: number) {
    super();
    this.fc1 = new Linear(dim, hidden);
    this.fc2 = new Linear(hidden, dim);
  }

  /** [..., D] -> [..., D] */
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act.forward(this.fc1.forward(x)));
  }
}

/** What a forward pass may be asked for beside its input. */
export interface BlockOptions {
  readonly visibility?: Visibility | undefined;
  /** Draws the dropped paths of a training pass; without it nothing is dropped. */
  readonly dropPath?: Generator | undefined;
  /**
   * Rows of the flattened tokens that are wanted, [R] int64. The others then serve as keys and
   * values only and nothing is computed for them after the attention: for the last block, where
   * most tokens are read by nobody.
   */
  readonly rows?: Tensor | undefined;
}

/** Pre-norm transformer block. Field names are the checkpoint's weight names. */
export class Block extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;

  /** @param drop probability with which a sample skips a residual branch, [0, 1) */
  constructor(
    dim: number,
    heads: number,
    mlpRatio: number,
    readonly drop: number,
  ) {
    super();
    this.norm1 = new LayerNorm(dim);
    this.attn = new Attention(dim, heads);
    this.norm2 = new LayerNorm(dim);
    this.mlp = new Mlp(dim, Math.round(mlpRatio * dim));
  }

  init(generator: Generator): void {
    this.norm1.init();
    this.norm2.init();
    for (const layer of [this.attn.qkv, this.attn.proj, this.mlp.fc1, this.mlp.fc2])
      layer.init(generator);
  }

  /** [B, T, D] -> [B, T, D], or [R, D] with `rows` */
  forward(x: Tensor, { visibility, dropPath: generator, rows }: BlockOptions = {}): Tensor {
    const dropPath = generator && this.drop > 0 ? { keep: 1 - this.drop, generator } : undefined;
    if (rows) return this.forwardRows(x, rows, visibility, dropPath);
    const attended = addBranch(x, dropPath, (images, kept) =>
      this.attn.forward(this.norm1.forward(images), visibilityOf(visibility, kept)),
    );
    return addBranch(attended, dropPath, (images) => this.mlp.forward(this.norm2.forward(images)));
  }

  private forwardRows(
    x: Tensor,
    rows: Tensor,
    visibility: Visibility | undefined,
    dropPath: DropPath | undefined,
  ): Tensor {
    const [B, T] = x.dims(3);
    const scaled = (branch: Tensor): Tensor =>
      dropPath ? branch.mul(rowScales([B, T], rows, dropPath)) : branch;
    const attended = flatRows(x, rows).add(
      scaled(this.attn.forward(this.norm1.forward(x), visibility, rows)),
    );
    return attended.add(scaled(this.mlp.forward(this.norm2.forward(attended))));
  }
}

function visibilityOf(visibility: Visibility | undefined, images?: Tensor): Visibility | undefined {
  if (!visibility || !images) return visibility;
  return { ...visibility, allowed: visibility.allowed.indexSelect(0, images) };
}
