import { empty, type Generator, Gelu, LayerNorm, Linear, Module, type Tensor } from "@odis/torch";
import { Attention, type Visibility } from "./attention.js";

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

  /** [B, T, D] -> [B, T, D] */
  forward(x: Tensor, { visibility, dropPath }: BlockOptions = {}): Tensor {
    const attended = x.add(
      this.dropped(this.attn.forward(this.norm1.forward(x), visibility), dropPath),
    );
    return attended.add(this.dropped(this.mlp.forward(this.norm2.forward(attended)), dropPath));
  }

  /** Stochastic depth per sample (Huang et al. 2016): kept branches are scaled up by 1 / keep. */
  private dropped(branch: Tensor, generator?: Generator): Tensor {
    if (!generator || this.drop === 0) return branch;
    const [B] = branch.dims(3);
    const keep = 1 - this.drop;
    const kept = empty([B, 1, 1], { device: branch.device }).bernoulli_(keep, generator).div_(keep);
    return branch.mul(kept);
  }
}
