import type { ExportedNetwork } from "../format.js";
import { GraphBuilder, onnxTypes, type Value } from "./builder.js";
import type { LayerBuilder } from "./layers.js";
import { vitGraph } from "./vit.js";

/**
 * A network with the patches of an object as input: `image` [B, 3, H, W] and `visible` [B, N] bool,
 * or [B, O, N] in a network of several [OBJ]. Outputs after the final norm: `object` [B, D] (or
 * [B, O, D]) and `cls` [B, D], as far as the network has them, and `patches` [B, N, D]. In a network
 * that was trained on means of patches, `visible` picks the patches of `pooled` [B, D] and restricts
 * nobody, as `Teacher.features` has it.
 *
 * @param attention adds an output of that name, [B, heads, blocks, N]: the shares of its attention that the
 *   first summary token ([OBJ], or [CLS] without one) gives to patches
 */
export function objectModel(
  { network, recipe, precision }: ExportedNetwork,
  { attention = false }: { readonly attention?: boolean } = {},
): GraphBuilder {
  const { backbone } = network;
  const { layout, config } = backbone;
  const several = layout.objects > 1;
  const means = recipe.loss.objectFrom === "pooled";
  const graph = new GraphBuilder();
  const image = graph.input("image", "float32", ["batch", 3, "height", "width"]);
  const given = graph.input(
    "visible",
    "bool",
    several ? ["batch", "objects", "patches"] : ["batch", "patches"],
  );
  const visible = several ? given : graph.op("Unsqueeze", [given, graph.ints([1])]);
  const made = vitGraph(graph, backbone, image, means ? undefined : visible, precision);
  const { layers, tokens, special } = made;
  const patches = layers.slice(tokens, special, 2 ** 31 - 1, 1);
  const row = ["batch", config.dim];
  if (layout.cls) graph.output(single(layers, tokens, 0), "cls", "float32", row);
  if (several)
    graph.output(layers.slice(tokens, layout.firstObject, special, 1), "object", "float32", [
      "batch",
      "objects",
      config.dim,
    ]);
  else if (layout.objects > 0)
    graph.output(single(layers, tokens, layout.firstObject), "object", "float32", row);
  if (means)
    graph.output(
      pooled(layers, patches, visible, several),
      "pooled",
      "float32",
      several ? ["batch", "objects", config.dim] : row,
    );
  graph.output(patches, "patches", "float32", ["batch", "patches", config.dim]);
  if (attention) {
    const row = layout.objects > 0 ? layout.firstObject : 0;
    const looks = made.attention.map((all) =>
      layers.slice(layers.slice(all, row, row + 1, 2), special, 2 ** 31 - 1, 3),
    );
    const shape = ["batch", config.heads, config.depth, "patches"];
    graph.output(graph.op("Concat", looks, { axis: 2 }), "attention", "float32", shape);
  }
  return graph;
}

/**
 * A network as `transformers` exports them: `pixel_values` [B, 3, H, W] in, `last_hidden_state`
 * [B, 1 + N, D] out, and its first token as `pooler_output` [B, D].
 */
export function imageModel({ network, precision }: ExportedNetwork): GraphBuilder {
  const { backbone } = network;
  const graph = new GraphBuilder();
  const image = graph.input("pixel_values", "float32", ["batch", 3, "height", "width"]);
  const { layers, tokens } = vitGraph(graph, backbone, image, undefined, precision);
  const { dim } = backbone.config;
  graph.output(tokens, "last_hidden_state", "float32", ["batch", "tokens", dim]);
  graph.output(single(layers, tokens, 0), "pooler_output", "float32", ["batch", dim]);
  return graph;
}

/** [B, D]: one of the tokens [B, T, D] */
function single({ graph }: LayerBuilder, tokens: Value, at: number): Value {
  return graph.op("Gather", [tokens, graph.ints(at)], { axis: 1 });
}

/** [B, O, D], or [B, D] for one: the mean of each object's patches; of none at all, 0 */
function pooled(layers: LayerBuilder, patches: Value, visible: Value, several: boolean): Value {
  const { graph } = layers;
  const shares = graph.op("Cast", [visible], { to: onnxTypes.float32 }); // [B, O, N]
  const counts = graph.op("ReduceSum", [shares, graph.ints([2])], { keepdims: 1 });
  const sums = graph.op("MatMul", [shares, patches]);
  const means = graph.op("Div", [sums, graph.op("Max", [counts, graph.floats(1)])]);
  return several ? means : graph.op("Squeeze", [means, graph.ints([1])]);
}
