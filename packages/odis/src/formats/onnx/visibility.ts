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
  const rows = beside(
    ...(cls ? [filled(0, objects, 1)] : []),
    others(layers, batch, objects),
    hide,
  );
  const open = (count: Value | number): Value =>
    beside(
      ...(cls ? [filled(0, count, 1)] : []),
      filled(0, count, objects),
      filled(0, count, patches),
    );
  if (attention !== "separate") return one([...(cls ? [open(first)] : []), rows, open(patches)]);
  const summary = beside(filled(0, 1, 1), filled(-Infinity, 1, objects), filled(0, 1, patches));
  const theirs = beside(
    ...(cls ? [filled(0, patches, 1)] : []),
    graph.op("Transpose", [hide], { perm: [0, 2, 1] }),
    filled(0, patches, patches),
  );
  return one([...(cls ? [summary] : []), rows, theirs]);
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
