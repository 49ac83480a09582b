import type { Tensor } from "@odis/torch";
import { elementsOf } from "../entries.js";
import { bytesOf, type GraphBuilder, onnxTypes, type Value } from "./builder.js";

/** Layers of a network as operators of a graph. */
export class LayerBuilder {
  private readonly weights: ReadonlyMap<string, Tensor>;

  /** @param precision of the weights in the file; all is computed in float32 */
  constructor(
    readonly graph: GraphBuilder,
    weights: readonly (readonly [name: string, weight: Tensor])[],
    private readonly precision: "float32" | "float16",
  ) {
    this.weights = new Map(weights);
  }

  /** A weight, ready to be computed with; or a part of it, under a name of its own. */
  weight(name: string, kept?: KeptPart): Value {
    const weight = this.weights.get(name)!;
    const { as = name, shape = weight.shape, part = (all: Tensor) => all } = kept ?? {};
    const { graph, precision } = this;
    const stored = graph.weight({
      name: as,
      type: precision,
      shape,
      bytes: () => bytesOf(elementsOf(as, () => part(weight), precision)),
    });
    return precision === "float32" ? stored : graph.op("Cast", [stored], { to: onnxTypes.float32 });
  }

  /** [..., in] -> [..., out] */
  linear(name: string, x: Value): Value {
    const { graph } = this;
    const [outputs = 0, inputs = 0] = this.weights.get(`${name}.weight`)!.shape;
    const turned = this.weight(`${name}.weight`, {
      shape: [inputs, outputs],
      part: (all) => all.transpose(0, 1),
    });
    return graph.op("Add", [graph.op("MatMul", [x, turned]), this.weight(`${name}.bias`)]);
  }

  norm(name: string, x: Value, epsilon: number): Value {
    return this.graph.op(
      "LayerNormalization",
      [x, this.weight(`${name}.weight`), this.weight(`${name}.bias`)],
      { axis: -1, epsilon: { float: epsilon } },
    );
  }

  /** LayerScale, where there is one. */
  scaled(name: string, x: Value): Value {
    return this.weights.has(name) ? this.graph.op("Mul", [x, this.weight(name)]) : x;
  }

  /** Two linear layers with the exact GELU between, x / 2 (1 + erf(x / √2)). */
  mlp(at: string, x: Value): Value {
    const { graph } = this;
    const wide = this.linear(`${at}.fc1`, x);
    const erf = graph.op("Erf", [graph.op("Div", [wide, graph.floats(Math.SQRT2)])]);
    const gate = graph.op("Mul", [wide, graph.op("Add", [erf, graph.floats(1)])]);
    return this.linear(`${at}.fc2`, graph.op("Mul", [gate, graph.floats(0.5)]));
  }

  /** w3(silu(a) * b) with [a, b] = w12(x) */
  swiGlu(at: string, x: Value): Value {
    const { graph } = this;
    const half = this.weights.get(`${at}.w12.bias`)!.shape[0]! / 2;
    const sizes = graph.ints([half, half]);
    const [a, b] = graph.ops("Split", [this.linear(`${at}.w12`, x), sizes], 2, { axis: -1 });
    const silu = graph.op("Mul", [a, graph.op("Sigmoid", [a])]);
    return this.linear(`${at}.w3`, graph.op("Mul", [silu, b]));
  }

  /** Entries `from` to `to` of an axis. */
  slice(x: Value, from: number | Value, to: number | Value, axis: number): Value {
    const at = (end: number | Value): Value =>
      typeof end === "number" ? this.graph.ints([end]) : end;
    return this.graph.op("Slice", [x, at(from), at(to), this.graph.ints([axis])]);
  }

  /** [1]: the length of an axis */
  length(x: Value, axis: number): Value {
    return this.slice(this.graph.op("Shape", [x]), axis, axis + 1, 0);
  }

  /** [n]: lengths of axes, one after the other */
  shape(...lengths: readonly (Value | number)[]): Value {
    const { graph } = this;
    const parts = lengths.map((side) => (typeof side === "number" ? graph.ints([side]) : side));
    return graph.op("Concat", parts, { axis: 0 });
  }

  /** [B, D, h, w] -> [B, h * w, D] */
  rows(grid: Value, dim: number): Value {
    const { graph } = this;
    const flat = graph.op("Reshape", [grid, graph.ints([0, dim, -1])]);
    return graph.op("Transpose", [flat], { perm: [0, 2, 1] });
  }
}

/** What a file keeps of a weight. */
export interface KeptPart {
  readonly as?: string;
  readonly shape: readonly number[];
  readonly part: (weight: Tensor) => Tensor;
}
