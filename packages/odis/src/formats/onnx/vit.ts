import type { Backbone } from "../../model/index.js";
import { type GraphBuilder, onnxTypes, type Value } from "./builder.js";
import { LayerBuilder } from "./layers.js";
import { hiddenScores } from "./visibility.js";

/** What a graph of a backbone gives. */
export interface VitTokens {
  readonly layers: LayerBuilder;
  /** [B, T, D]: all tokens after the final norm, special ones first, then patches row by row */
  readonly tokens: Value;
  /** [1]: how many special tokens there are */
  readonly special: Value;
  /** of each block, [B, heads, T, T]: where tokens look; rows sum to 1 */
  readonly attention: readonly Value[];
}

/**
 * The operators of `Backbone.forward`, in float32.
 *
 * Batch and size of the images are free, and with several [OBJ] their number. Positions are resized
 * in the graph, by the rule of `resizePositions`.
 *
 * @param image [B, 3, H, W], normalised as for the network; rows and columns beyond a whole patch are
 *   left out
 * @param visible [B, O, N] bool as `BackboneOptions.visible`; without it nobody is restricted
 * @param precision of the weights in the file
 */
export function vitGraph(
  graph: GraphBuilder,
  backbone: Backbone,
  image: Value,
  visible: Value | undefined,
  precision: "float32" | "float16",
): VitTokens {
  const { config, layout } = backbone;
  const { dim, patch, normEpsilon } = config;
  const layers = new LayerBuilder(graph, backbone.namedParameters(), precision);
  const projection = ["weight", "bias"].map((leaf) => layers.weight(`patch_embed.proj.${leaf}`));
  const sides = { kernel_shape: [patch, patch], strides: [patch, patch] };
  const grid = graph.op("Conv", [image, ...projection], sides); // [B, D, h, w]

  // Several [OBJ]: as many as the caller has objects, as in `BackboneOptions`.
  const objects: Value | number =
    layout.objects > 1 && visible !== undefined ? layers.length(visible, 1) : layout.objects;
  const batch = layers.length(grid, 0);
  const patches = graph.op("Add", [
    layers.rows(grid, dim),
    patchPositions(layers, backbone, layers.slice(graph.op("Shape", [grid]), 2, 4, 0)),
  ]);
  const special = graph.op("Expand", [
    specialTokens(layers, backbone, objects),
    layers.shape(batch, 1, 1),
  ]);
  let tokens = graph.op("Concat", [special, patches], { axis: 1 }); // [B, T, D]

  const hidden = visible && hiddenScores(layers, layout, { visible, batch, objects });
  const attention: Value[] = [];
  for (let block = 0; block < config.depth; block += 1) {
    const next = blockGraph(layers, `blocks.${block}`, tokens, hidden, config);
    tokens = next.tokens;
    attention.push(next.attention);
  }
  return {
    layers,
    attention,
    tokens: layers.norm("norm", tokens, normEpsilon),
    special: graph.op("Add", [layers.shape(objects), graph.ints([layout.firstObject])]),
  };
}

/** Pre-norm: attention and the feed-forward part, each added to what it reads. */
function blockGraph(
  layers: LayerBuilder,
  at: string,
  x: Value,
  hidden: Value | undefined,
  { dim, heads, ffn, normEpsilon }: Backbone["config"],
): { readonly tokens: Value; readonly attention: Value } {
  const { graph } = layers;
  const width = dim / heads;
  const normed = layers.norm(`${at}.norm1`, x, normEpsilon);
  const thirds = graph.ints([dim, dim, dim]);
  const qkv = graph.ops("Split", [layers.linear(`${at}.attn.qkv`, normed), thirds], 3, { axis: 2 });
  const turns = [
    [0, 2, 1, 3],
    [0, 2, 3, 1], // keys, turned for the product
    [0, 2, 1, 3],
  ];
  const [q, k, v] = qkv.map((part, which) => {
    const apart = graph.op("Reshape", [part, graph.ints([0, 0, heads, width])]);
    return graph.op("Transpose", [apart], { perm: turns[which]! });
  });
  const products = graph.op("Mul", [graph.op("MatMul", [q, k]), graph.floats(width ** -0.5)]);
  const scores = hidden === undefined ? products : graph.op("Add", [products, hidden]);
  const attention = graph.op("Softmax", [scores], { axis: -1 });
  const mixed = graph.op("MatMul", [attention, v]);
  const joined = graph.op("Reshape", [
    graph.op("Transpose", [mixed], { perm: [0, 2, 1, 3] }),
    graph.ints([0, 0, dim]),
  ]);
  const attended = layers.scaled(`${at}.ls1.gamma`, layers.linear(`${at}.attn.proj`, joined));
  const between = graph.op("Add", [x, attended]);
  const read = layers.norm(`${at}.norm2`, between, normEpsilon);
  const fed = ffn === "mlp" ? layers.mlp(`${at}.mlp`, read) : layers.swiGlu(`${at}.mlp`, read);
  const tokens = graph.op("Add", [between, layers.scaled(`${at}.ls2.gamma`, fed)]);
  return { tokens, attention };
}

/** [1, S, D]: the special tokens with their positions */
function specialTokens(
  layers: LayerBuilder,
  { clsToken, objToken, layout, posEmbed, config }: Backbone,
  objects: Value | number,
): Value {
  const { graph } = layers;
  const { firstObject } = layout;
  const positionsOf = (as: string, from: number, count: number): Value =>
    layers.weight("pos_embed", {
      as: `pos_embed.${as}`,
      shape: [1, count, config.dim],
      part: (all) => all.narrow(1, from, count),
    });
  const placed: Value[] = [];
  if (clsToken)
    placed.push(graph.op("Add", [layers.weight("cls_token"), positionsOf("cls", 0, 1)]));
  if (objToken) {
    const count = posEmbed.shape[1]! - patchesOf(config) - firstObject;
    placed.push(
      graph.op("Add", [
        perObject(layers, layers.weight("obj_token"), objToken.shape[1]!, objects),
        perObject(layers, positionsOf("objects", firstObject, count), count, objects),
      ]),
    );
  }
  return placed.length === 1 ? placed[0]! : graph.op("Concat", placed, { axis: 1 });
}

/** Entries [1, count, D] -> [1, O, D]: the first ones, or one for all */
function perObject(
  layers: LayerBuilder,
  entries: Value,
  count: number,
  objects: Value | number,
): Value {
  if (count === objects) return entries;
  if (count > 1) return layers.slice(entries, 0, objects, 1);
  return layers.graph.op("Expand", [entries, layers.shape(1, objects, 1)]);
}

/**
 * [1, N, D]: positions of a grid of patches, resized when it is not the one that they were trained
 * for. A factor of exactly 1 leaves them as they are.
 *
 * @param size [2]: rows and columns
 */
function patchPositions(layers: LayerBuilder, { posEmbed, config }: Backbone, size: Value): Value {
  const { graph } = layers;
  const { dim } = config;
  const count = patchesOf(config);
  const side = Math.sqrt(count);
  const table = layers.weight("pos_embed", {
    as: "pos_embed.patches",
    shape: [1, dim, side, side],
    part: (all) =>
      all
        .narrow(1, posEmbed.shape[1]! - count, count)
        .reshape([1, side, side, dim])
        .permute([0, 3, 1, 2]),
  });
  const wanted = graph.op("Cast", [size], { to: onnxTypes.float32 });
  const apart = graph.op("Abs", [graph.op("Sub", [wanted, graph.floats(side)])]);
  const trained = graph.op("Equal", [
    graph.op("ReduceSum", [apart, graph.ints([0])], { keepdims: 1 }),
    graph.floats(0),
  ]);
  const factors = graph.op("Div", [
    graph.op("Add", [wanted, graph.floats(0.1)]), // iBOT's, see `resizePositions`
    graph.floats(side),
  ]);
  const scales = graph.op("Where", [trained, graph.floats([1, 1]), factors]);
  const resized = graph.op(
    "Resize",
    [table, undefined, graph.op("Concat", [graph.floats([1, 1]), scales], { axis: 0 })],
    {
      mode: "cubic",
      cubic_coeff_a: { float: -0.75 },
      coordinate_transformation_mode: "half_pixel",
    },
  );
  return layers.rows(resized, dim);
}

function patchesOf({ imageSize, patch }: Backbone["config"]): number {
  return (imageSize / patch) ** 2;
}
