import {
  fill_,
  Gelu,
  type Generator,
  Linear,
  linear,
  Module,
  type Tensor,
  truncNormal_,
  uninitialised,
} from "@odis/torch";

/** Kinds of token that a loss reads, in the order of `TokenLayout`. */
export const tokenKinds = ["cls", "object", "patch"] as const;
export type TokenKind = (typeof tokenKinds)[number];

/** Shape of a projection head. */
export interface HeadConfig {
  readonly hidden: number;
  readonly bottleneck: number;
  /** number of prototypes K */
  readonly prototypes: number;
  /** prototypes of [OBJ] tokens' own, when they do not share those of the head */
  readonly objectPrototypes?: number | undefined;
  /** prototypes of patches' own, when they do not share those of the head */
  readonly patchPrototypes?: number | undefined;
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
 * (iBOT `models/head.py`). Kinds of token share the prototypes, or have a last layer of their own.
 * Call it on tokens that a loss reads.
 */
export class Head extends Module {
  readonly mlp: readonly (Linear | Gelu)[];
  readonly lastLayer: Prototypes;
  readonly lastLayerObj: Prototypes | undefined;
  readonly lastLayerPatch: Prototypes | undefined;

  constructor(dim: number, config: HeadConfig) {
    super();
    const { hidden, bottleneck, prototypes, objectPrototypes, patchPrototypes } = config;
    const own = (count: number | undefined): Prototypes | undefined =>
      count === undefined ? undefined : new Prototypes(bottleneck, count);
    this.mlp = [
      new Linear(dim, hidden),
      new Gelu(),
      new Linear(hidden, hidden),
      new Gelu(),
      new Linear(hidden, bottleneck),
    ];
    this.lastLayer = new Prototypes(bottleneck, prototypes);
    this.lastLayerObj = own(objectPrototypes);
    this.lastLayerPatch = own(patchPrototypes);
  }

  init(generator: Generator): this {
    for (const layer of this.mlp) if (layer instanceof Linear) layer.init(generator);
    for (const layer of this.lastLayers) {
      truncNormal_(layer.weightV, 0.02, generator);
      fill_(layer.weightG, 1);
    }
    return this;
  }

  /** All layers of prototypes. */
  get lastLayers(): readonly Prototypes[] {
    return [this.lastLayer, this.lastLayerObj, this.lastLayerPatch].filter(
      (layer) => layer !== undefined,
    );
  }

  /** The prototypes that tokens of a kind are compared with. */
  prototypesOf(kind: TokenKind): Prototypes {
    const own = { cls: undefined, object: this.lastLayerObj, patch: this.lastLayerPatch }[kind];
    return own ?? this.lastLayer;
  }

  /** Rows [R, D] -> prototype logits [R, K], each in [-gain, gain] since both sides have unit length. */
  forward(rows: Tensor, kind: TokenKind): Tensor {
    return this.prototypesOf(kind).forward(this.embed(rows));
  }

  /** Rows [R, D] -> unit vectors [R, bottleneck], before the prototypes. */
  embed(rows: Tensor): Tensor {
    let x = rows;
    for (const layer of this.mlp) x = layer.forward(x);
    return x.div(x.norm(-1, 2, true).clampMin(1e-12));
  }
}
