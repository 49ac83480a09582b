import {
  fill_,
  Gelu,
  type Generator,
  Linear,
  Module,
  type Tensor,
  linear,
  truncNormal_,
  uninitialised,
} from "@odis/torch";

/** Shape of a projection head. */
export interface HeadConfig {
  readonly hidden: number;
  readonly bottleneck: number;
  /** number of prototypes K */
  readonly prototypes: number;
  /** keep the prototypes' gain at 1 instead of training it */
  readonly normLastLayer: boolean;
}

/** K prototypes of unit length times a gain: W = g v / |v|, row by row, without bias. */
class Prototypes extends Module {
  readonly weightG: Tensor;
  readonly weightV: Tensor;

  constructor(width: number, prototypes: number) {
    super();
    this.weightG = uninitialised([prototypes, 1]);
    this.weightV = uninitialised([prototypes, width]);
  }

  /** [..., width] -> logits [..., K] */
  forward(x: Tensor): Tensor {
    return linear(x, this.weightV.div(this.weightV.norm(-1, 2, true)).mul(this.weightG));
  }
}

/**
 * The projection head of DINO and iBOT: a 3-layer MLP, unit length, then weight-normed prototypes
 * (iBOT `models/head.py`). Objects and patches share it; call it on tokens that a loss reads.
 */
export class Head extends Module {
  readonly mlp: readonly (Linear | Gelu)[];
  readonly lastLayer: Prototypes;

  constructor(
    dim: number,
    readonly config: HeadConfig,
  ) {
    super();
    const { hidden, bottleneck, prototypes } = config;
    this.mlp = [
      new Linear(dim, hidden),
      new Gelu(),
      new Linear(hidden, hidden),
      new Gelu(),
      new Linear(hidden, bottleneck),
    ];
    this.lastLayer = new Prototypes(bottleneck, prototypes);
  }

  init(generator: Generator): this {
    for (const layer of this.mlp) if (layer instanceof Linear) layer.init(generator);
    truncNormal_(this.lastLayer.weightV, 0.02, generator);
    fill_(this.lastLayer.weightG, 1);
    return this;
  }

  /** Rows [R, D] -> prototype logits [R, K], each in [-gain, gain] since both sides have unit length. */
  forward(rows: Tensor): Tensor {
    return this.lastLayer.forward(this.embed(rows));
  }

  /** Rows [R, D] -> unit vectors [R, bottleneck], before the prototypes. */
  embed(rows: Tensor): Tensor {
    let x = rows;
    for (const layer of this.mlp) x = layer.forward(x);
    return x.div(x.norm(-1, 2, true).clampMin(1e-12));
  }
}
