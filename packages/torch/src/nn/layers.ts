import type { Generator } from "../random.js";
import { layerNorm, linear } from "../ops.js";
import type { Tensor } from "../tensor.js";
import { fill_, truncNormal_ } from "./init.js";
import { Module, uninitialised } from "./module.js";

/** y = x Wᵀ + b with W [out, in]. */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(inputs: number, outputs: number) {
    super();
    this.weight = uninitialised([outputs, inputs]);
    this.bias = uninitialised([outputs]);
  }

  /** Truncated normal weights, zero bias: the published ViT initialisation. */
  init(generator: Generator, std = 0.02): this {
    truncNormal_(this.weight, std, generator);
    fill_(this.bias, 0);
    return this;
  }

  /** [..., in] -> [..., out] */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** Normalises the last axis to mean 0 and variance 1, then scales and shifts. */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    width: number,
    readonly epsilon = 1e-6,
  ) {
    super();
    this.weight = uninitialised([width]);
    this.bias = uninitialised([width]);
  }

  init(): this {
    fill_(this.weight, 1);
    fill_(this.bias, 0);
    return this;
  }

  /** [..., width] -> same */
  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight.shape, this.weight, this.bias, this.epsilon);
  }
}

/** The exact (erf) GELU as a module, so that a list of layers reads like the published names. */
export class Gelu extends Module {
  forward(x: Tensor): Tensor {
    return x.gelu();
  }
}
