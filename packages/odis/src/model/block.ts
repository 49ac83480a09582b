import {
  fill_,
  Gelu,
  type Generator,
  LayerNorm,
  Linear,
  Module,
  type Tensor,
  uninitialised,
} from "@odis/torch";
import { Attention, flatRows, type Visibility } from "./attention.js";
import { addBranch, type BlockDrops, type Kept, rowScales } from "./drop-path.js";
import type { Packing } from "./packing.js";

/** What all blocks of a network have in common. */
export interface BlockConfig {
  readonly dim: number;
  readonly heads: number;
  /** width of the feed-forward part over `dim`; of a `swiglu` two thirds of it are used */
  readonly mlpRatio: number;
  readonly ffn: "mlp" | "swiglu";
  /** initial value of LayerScale; 0: no LayerScale */
  readonly layerScale: number;
  /** added to the variance in layer norms */
  readonly normEpsilon: number;
}

/** What a forward pass may be asked for beside its input. */
export interface BlockOptions {
  readonly visibility?: Visibility | undefined;
  /** images of different numbers of tokens, one after the other: [R, D] instead of [B, T, D] */
  readonly packing?: Packing | undefined;
  /** who keeps its branches in a training pass; without it nothing is dropped */
  readonly drops?: BlockDrops | undefined;
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
  readonly ls1: LayerScale | undefined;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp | SwiGlu;
  readonly ls2: LayerScale | undefined;

  constructor(private readonly config: BlockConfig) {
    super();
    const { dim, heads, mlpRatio, ffn, layerScale, normEpsilon } = config;
    const hidden = Math.round(mlpRatio * dim);
    this.norm1 = new LayerNorm(dim, normEpsilon);
    this.attn = new Attention(dim, heads);
    this.ls1 = layerScale > 0 ? new LayerScale(dim) : undefined;
    this.norm2 = new LayerNorm(dim, normEpsilon);
    this.mlp = ffn === "mlp" ? new Mlp(dim, hidden) : new SwiGlu(dim, SwiGlu.widthFor(hidden));
    this.ls2 = layerScale > 0 ? new LayerScale(dim) : undefined;
  }

  init(generator: Generator): void {
    this.norm1.init();
    this.norm2.init();
    this.attn.qkv.init(generator);
    this.attn.proj.init(generator);
    this.mlp.init(generator);
    this.ls1?.init(this.config.layerScale);
    this.ls2?.init(this.config.layerScale);
  }

  /** [B, T, D] -> [B, T, D], or [R, D] with `rows` or `packing` */
  forward(x: Tensor, options: BlockOptions = {}): Tensor {
    const { visibility, drops } = options;
    if (options.rows || options.packing) return this.forwardRows(x, options);
    const attended = addBranch(x, drops?.attention, (images, kept) =>
      this.attention(images, visibilityOf(visibility, kept)),
    );
    return addBranch(attended, drops?.feedForward, (images) => this.feedForward(images));
  }

  private forwardRows(x: Tensor, { visibility, packing, drops, rows }: BlockOptions): Tensor {
    const scaled = (branch: Tensor, kept: Kept | undefined): Tensor =>
      kept ? branch.mul(rowScales(kept, packing?.images ?? x.dims(3)[1], rows)) : branch;
    const mixed = scaled(this.attention(x, packing ?? visibility, rows), drops?.attention);
    const attended = (rows ? flatRows(x, rows) : x).add(mixed);
    return attended.add(scaled(this.feedForward(attended), drops?.feedForward));
  }

  private attention(x: Tensor, sight?: Visibility | Packing, rows?: Tensor): Tensor {
    const mixed = this.attn.forward(this.norm1.forward(x), sight, rows);
    return this.ls1 ? this.ls1.forward(mixed) : mixed;
  }

  private feedForward(x: Tensor): Tensor {
    const made = this.mlp.forward(this.norm2.forward(x));
    return this.ls2 ? this.ls2.forward(made) : made;
  }
}

function visibilityOf(visibility: Visibility | undefined, images?: Tensor): Visibility | undefined {
  if (!visibility || !images) return visibility;
  return { ...visibility, allowed: visibility.allowed.indexSelect(0, images) };
}

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

  init(generator: Generator): void {
    this.fc1.init(generator);
    this.fc2.init(generator);
  }

  /** [..., D] -> [..., D] */
  forward(x: Tensor): Tensor {
    return this.fc2.forward(this.act.forward(this.fc1.forward(x)));
  }
}

/** Gated linear units: w3(silu(a) * b) with [a, b] = w12(x) (DINOv2 `layers/swiglu_ffn.py`). */
export class SwiGlu extends Module {
  readonly w12: Linear;
  readonly w3: Linear;

  constructor(
    dim: number,
    private readonly hidden: number,
  ) {
    super();
    this.w12 = new Linear(dim, 2 * hidden);
    this.w3 = new Linear(hidden, dim);
  }

  /** Width that keeps the weights of a plain MLP of width `hidden`: two thirds, rounded up to 8. */
  static widthFor(hidden: number): number {
    return 8 * Math.ceil(Math.floor((hidden * 2) / 3) / 8);
  }

  init(generator: Generator): void {
    this.w12.init(generator);
    this.w3.init(generator);
  }

  /** [..., D] -> [..., D] */
  forward(x: Tensor): Tensor {
    const both = this.w12.forward(x);
    const gate = both.narrow(-1, 0, this.hidden).silu();
    return this.w3.forward(gate.mul(both.narrow(-1, this.hidden, this.hidden)));
  }
}

/** A learned factor per channel, small at first, so that deep networks start near the identity. */
export class LayerScale extends Module {
  readonly gamma: Tensor; // [D]

  constructor(dim: number) {
    super();
    this.gamma = uninitialised([dim]);
  }

  init(value: number): void {
    fill_(this.gamma, value);
  }

  /** [..., D] -> [..., D] */
  forward(x: Tensor): Tensor {
    return x.mul(this.gamma);
  }
}
