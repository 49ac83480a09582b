import type { TokenLayout } from "../../model/index.js";
import { onnxTypes, type Value } from "./builder.js";
import type { LayerBuilder } from "./layers.js";

/** What the restricted rows of a pass depend on. */
export interface Restriction {
  /** [B, O, N] bool; O = 1 without [OBJ] */
  readonly visible: Value;
  /** [1] */
  readonly batch: Value;
  /** O, or 0 without [OBJ] */
  readonly objects: Value | number;
}

/**
 * What is added to the scores of attention, [B, 1, T, T]: 0 where a token may look, -∞ where not. By
 * the rules of `TokenLayout.visibility`, with [OBJ] restricted where it was not in training, too: as
 * features are read everywhere in odis.
 */
export function hiddenScores(
  layers: LayerBuilder,
  { cls, objects: learned, attention }: TokenLayout,
  { visible, batch, objects }: Restriction,
): Value {
  const { graph } = layers;
  const patches = layers.length(visible, 2);
  const filled = (value: number, ...sides: readonly (Value | number)[]): Value =>
    graph.op("Expand", [graph.floats(value), layers.shape(batch, ...sides)]);
  const beside = (...parts: readonly Value[]): Value =>
    parts.length === 1 ? parts[0]! : graph.op("Concat", parts, { axis: 2 });
  const hide = graph.op("Where", [visible, graph.floats(0), graph.floats(-Infinity)]); // [B, O, N]
  const one = (rows: readonly Value[]): Value =>
    graph.op("Unsqueeze", [graph.op("Concat", rows, { axis: 1 }), graph.ints([1])]);
  const all = beside(filled(0, patches, 1), filled(0, patches, patches));
  if (learned === 0) return one([beside(filled(0, 1, 1), hide), all]);

  const first = cls ? 1 : 0;
  const isolated = attention === "isolated";
  const rows = beside(
    ...(cls ? [filled(isolated ? -Infinity : 0, objects, 1)] : []),
    others(layers, batch, objects),
    hide,
  );
  const open = (count: Value | number): Value =>
    beside(
      ...(cls ? [filled(0, count, 1)] : []),
      filled(0, count, objects),
      filled(0, count, patches),
    );
  if (attention !== "separate" && !isolated)
    return one([...(cls ? [open(first)] : []), rows, open(patches)]);
  const summary = beside(filled(0, 1, 1), filled(-Infinity, 1, objects), filled(0, 1, patches));
  const { outside, among } = isolated
    ? apart(layers, visible)
    : { outside: filled(0, patches, 1), among: filled(0, patches, patches) };
  const theirs = beside(
    ...(cls ? [outside] : []),
    graph.op("Transpose", [hide], { perm: [0, 2, 1] }),
    among,
  );
  return one([...(cls ? [summary] : []), rows, theirs]);
}

/**
 * What is added to the scores of patches when objects are isolated: those of no object see [CLS], [B, N, 1],
 * and all patches; others see those of the same object, [B, N, N].
 */
function apart(
  { graph }: LayerBuilder,
  visible: Value,
): { readonly outside: Value; readonly among: Value } {
  const [zero, hidden] = [graph.floats(0), graph.floats(-Infinity)];
  const each = graph.op("Cast", [visible], { to: onnxTypes.float32 });
  const turned = graph.op("Transpose", [each], { perm: [0, 2, 1] }); // [B, N, O]
  const owners = graph.op("ReduceSum", [turned, graph.ints([2])], { keepdims: 1 });
  const isOwned = graph.op("Greater", [owners, zero]);
  const isShared = graph.op("Greater", [graph.op("MatMul", [turned, each]), zero]);
  const allowed = graph.op("Or", [isShared, graph.op("Not", [isOwned])]);
  return {
    outside: graph.op("Where", [isOwned, hidden, zero]),
    among: graph.op("Where", [allowed, zero, hidden]),
  };
}

/** [B, O, O]: an [OBJ] sees itself and no other */
function others(layers: LayerBuilder, batch: Value, objects: Value | number): Value {
  const { graph } = layers;
  const square = layers.shape(objects, objects);
  const itself = graph.op("EyeLike", [graph.op("Expand", [graph.floats(0), square])]);
  const hide = graph.op("Where", [
    graph.op("Cast", [itself], { to: onnxTypes.bool }),
    graph.floats(0),
    graph.floats(-Infinity),
  ]);
  return graph.op("Expand", [hide, layers.shape(batch, 1, 1)]);
}
