import {
  Gelu,
  type Generator,
  fill_,
  Linear,
  Module,
  type Tensor,
  uninitialised,
} from "@odis/torch";

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
