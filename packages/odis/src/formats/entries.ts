import { type DType, noGrad, type Tensor, type TensorEntry, tidy } from "@odis/torch";
import { ConfigError } from "../core/index.js";
import { type Backbone, imageNet, type Network } from "../model/index.js";
import type { ExportedNetwork } from "./format.js";

/**
 * A weight to write; its elements are asked for when its turn comes.
 *
 * @param part what is written of it, in the shape given
 */
export function tensorEntry(
  name: string,
  weight: Tensor,
  shape: readonly number[] = weight.shape,
  part: (weight: Tensor) => Tensor = (all) => all,
): TensorEntry {
  const dtype: DType = weight.dtype;
  const data = () => noGrad(() => tidy(() => part(weight).to({ device: "cpu" }).toArray()));
  return { name, dtype, shape, data };
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

/** What a file that odis wrote says of itself; all of it texts, as safetensors wants. */
export function describeExport({
  network,
  recipe,
  step,
  side,
}: ExportedNetwork): Record<string, string> {
  const { heads, imageSize, normEpsilon, patch } = network.backbone.config;
  return {
    format: "pt", // loaders of other programs ask for it
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
