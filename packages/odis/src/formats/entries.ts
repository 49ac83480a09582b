import {
  noGrad,
  type Tensor,
  type TensorEntry,
  tidy,
  type TypedArray,
  writeSafetensors,
} from "@odis/torch";
import { ConfigError } from "../core/index.js";
import { type Backbone, imageNet, type Network } from "../model/index.js";
import type { ExportedNetwork } from "./format.js";

/**
 * A weight to write; its elements are asked for when its turn comes.
 *
 * @param part what is written of it, in the shape given
 * @throws ConfigError, when asked for, if the precision has no place for a number
 */
export function tensorEntry(
  name: string,
  weight: Tensor,
  precision: "float32" | "float16",
  shape: readonly number[] = weight.shape,
  part: (weight: Tensor) => Tensor = (all) => all,
): TensorEntry {
  return {
    name,
    dtype: precision,
    shape,
    data: () => elementsOf(name, () => part(weight), precision),
  };
}

/** A weight's elements in the precision of a file, in memory of their own. */
export function elementsOf(
  name: string,
  make: () => Tensor,
  precision: "float32" | "float16",
): TypedArray {
  return noGrad(() =>
    tidy(() => {
      const kept = make().to({ device: "cpu", dtype: precision });
      if (!kept.isfinite().all().item())
        throw new ConfigError(
          `export: weight ${name} holds numbers that ${precision} has no place for` +
            (precision === "float16" ? "; leave --half out" : ""),
        );
      return kept.toArray();
    }),
  );
}

/** @throws ConfigError for networks with more tokens before their patches than other programs' have */
export function checkOneToken({ layout: { cls, objects } }: Backbone): void {
  if ((cls ? 1 : 0) + objects === 1) return;
  const tokens = [...(cls ? ["[CLS]"] : []), ...(objects > 0 ? [`${objects} [OBJ]`] : [])];
  throw new ConfigError(
    `export: the network has ${tokens.join(" and ")} before its patches; wanted one token, as theirs have. ` +
      `Patches attend to all of them, so leaving some out would change every feature. Give --format odis.`,
  );
}

/** What became of [OBJ] where there is a `cls_token` only. */
export function tokenNotes({ backbone }: Network): readonly string[] {
  return backbone.layout.objects > 0
    ? ["cls_token is [OBJ]: without a mask it looks at the whole image, like a [CLS]"]
    : [];
}

/** Writes a safetensors file. */
export function writeWeights(
  path: string,
  entries: readonly TensorEntry[],
  exported: ExportedNetwork,
): void {
  // Loaders of other programs ask for this word.
  writeSafetensors(path, entries, { format: "pt", ...describeExport(exported) });
}

/** What a file that odis wrote says of itself; all of it texts, as safetensors and ONNX want. */
export function describeExport({
  network,
  recipe,
  step,
  side,
}: ExportedNetwork): Record<string, string> {
  const { heads, imageSize, normEpsilon, patch } = network.backbone.config;
  return {
    "odis.side": side,
    "odis.step": String(step),
    "odis.tokens": recipe.model.tokens,
    "odis.heads": String(heads),
    "odis.normEpsilon": String(normEpsilon),
    "odis.patch": String(patch),
    "odis.imageSize": String(imageSize),
    "odis.mean": imageNet.mean.join(" "),
    "odis.std": imageNet.std.join(" "),
    "odis.recipe": JSON.stringify(recipe),
  };
}
