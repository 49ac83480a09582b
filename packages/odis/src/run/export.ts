import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type TensorEntry, writeSafetensors } from "@odis/torch";
import {
  checkReplaceable,
  checkWritable,
  ConfigError,
  makeFolder,
  replaceText,
} from "../core/index.js";
import { type LoadedNetwork, loadNetwork } from "./load.js";
import { imageNet } from "../model/index.js";
import {
  familyOf,
  huggingFaceConfig,
  huggingFaceEntries,
  odisEntries,
  type Side,
  timmEntries,
} from "../formats/index.js";

/** Whose names: timm's, Hugging Face's, or our own. */
export type ExportFormat = "timm" | "hf" | "odis";

export interface ExportOptions {
  /** a file; for `hf` a folder */
  readonly out: string;
  /** `timm` and `hf`: the backbone; `odis`: heads, too */
  readonly format: ExportFormat;
  /** default `teacher` */
  readonly side?: Side;
}

/** What was written. */
export interface Exported {
  readonly files: readonly string[];
  /** which token became `cls_token`, and other things to know */
  readonly notes: readonly string[];
}

/**
 * Writes a run's network for other programs.
 *
 * @param run run folder (its newest whole checkpoint is taken) or one checkpoint
 * @throws RunError when there is none; ConfigError when `out` exists, or the format has no place for
 *   all tokens of the network
 */
export function exportRun(run: string, { out, format, side = "teacher" }: ExportOptions): Exported {
  if (existsSync(out))
    throw new ConfigError(
      `export: ${out} exists; wanted a new ${format === "hf" ? "folder" : "file"}`,
    );
  if (format === "hf") checkWritable(out, "folder", "Choose another one.");
  else checkReplaceable(out);
  const loaded = loadNetwork(run, side);
  try {
    const metadata = { format: "pt", ...describe(loaded, side) };
    const notes = notesOf(loaded, format);
    if (format === "hf") return { files: writeFolder(out, loaded, metadata), notes };
    const entries = format === "timm" ? timmEntries(loaded.network) : odisEntries(loaded.network);
    makeFolder(dirname(out));
    writeSafetensors(out, entries, metadata);
    return { files: [out], notes };
  } finally {
    loaded.network.free();
  }
}

function writeFolder(
  out: string,
  { network, recipe }: LoadedNetwork,
  metadata: Readonly<Record<string, string>>,
): readonly string[] {
  const entries: readonly TensorEntry[] = huggingFaceEntries(network); // refuses before anything is made
  const { size } = recipe.views.globals;
  const processor = {
    image_processor_type: "ViTImageProcessor",
    do_resize: true,
    size: { height: size, width: size },
    resample: 3, // bicubic
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: imageNet.mean,
    image_std: imageNet.std,
  };
  makeFolder(out);
  const weights = join(out, "model.safetensors");
  writeSafetensors(weights, entries, metadata);
  const texts = {
    "config.json": huggingFaceConfig(network),
    "preprocessor_config.json": processor,
  };
  for (const [name, value] of Object.entries(texts))
    replaceText(join(out, name), `${JSON.stringify(value, null, 2)}\n`);
  return [weights, ...Object.keys(texts).map((name) => join(out, name))];
}

/** What a file says of itself; all of it texts, as the format wants. */
function describe({ network, recipe, step }: LoadedNetwork, side: Side): Record<string, string> {
  const { heads, imageSize, patch } = network.backbone.config;
  return {
    "odis.side": side,
    "odis.step": String(step),
    "odis.tokens": recipe.model.tokens,
    "odis.heads": String(heads),
    "odis.patch": String(patch),
    "odis.imageSize": String(imageSize),
    "odis.mean": imageNet.mean.join(" "),
    "odis.std": imageNet.std.join(" "),
    "odis.recipe": JSON.stringify(recipe),
  };
}

function notesOf({ network }: LoadedNetwork, format: ExportFormat): readonly string[] {
  if (format === "odis") return [];
  const { layout, maskedEmbed } = network.backbone;
  return [
    ...(layout.objects > 0
      ? ["cls_token is [OBJ]: without a mask it looks at the whole image, like a [CLS]"]
      : []),
    ...(format === "hf" && familyOf(network.backbone) === "vit"
      ? ["AutoModel adds a pooler of its own, untrained: read last_hidden_state"]
      : []),
    ...(maskedEmbed && format === "timm" ? ["left out: masked_embed, which timm has not"] : []),
    "heads are left out; --format odis keeps them",
  ];
}
