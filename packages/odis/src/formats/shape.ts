import { WeightsError } from "../core/index.js";
import { SwiGlu } from "../model/index.js";
import type { PlainValue } from "./files/index.js";
import type { FileNetwork } from "./find.js";
import { readers } from "./registry.js";

/** Shape of a network, as far as its weights tell. */
export interface NetworkShape {
  readonly dim: number;
  readonly depth: number;
  /** undefined when neither the file nor a convention tells */
  readonly heads: { readonly count: number; readonly from: "file" | "convention" } | undefined;
  readonly mlpRatio: number;
  readonly ffn: "mlp" | "swiglu";
  /** side of a patch, pixels */
  readonly patch: number;
  /** patches along a side of the square that the positions are laid out for */
  readonly grid: number;
  readonly layerScale: boolean;
  readonly cls: boolean;
  /** vectors that [OBJ] tokens begin as, 0 without [OBJ] */
  readonly objects: number;
  /** position entries before those of the patches; 0 when the special tokens have none */
  readonly special: number;
}

/** Every published ViT has heads of so many channels. */
const channelsPerHead = 64;

/**
 * Reads the shape of a network off its weights.
 *
 * @param plain what the file says besides: Hugging Face's config.json knows the heads
 * @throws WeightsError naming what is missing or impossible
 */
export function shapeOf(
  { file, backbone }: FileNetwork,
  plain: ReadonlyMap<string, PlainValue>,
): NetworkShape {
  const shape = (name: string, rank: number): readonly number[] => {
    const found = backbone.get(name)?.shape;
    if (found?.length === rank) return found;
    throw new WeightsError(
      file,
      `${name}: got ${found ? `shape [${found.join(", ")}]` : "nothing"}, wanted ${rank} axes. ` +
        `This is no whole Vision Transformer.`,
    );
  };
  const [dim = 0, channels, patch = 0, across] = shape("patch_embed.proj.weight", 4);
  if (channels !== 3 || patch !== across)
    throw new WeightsError(
      file,
      `patch_embed.proj.weight: got shape [${shape("patch_embed.proj.weight", 4).join(", ")}], ` +
        `wanted square patches of 3 channels.`,
    );
  const activation = plain.get("config.hidden_act") ?? "gelu";
  if (activation !== "gelu")
    throw new WeightsError(
      file,
      `its config.json says hidden_act ${activation}; odis has gelu. Use weights of a network with gelu.`,
    );
  const blocks = [...backbone.keys()].map((name) =>
    Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1),
  );
  const depth = Math.max(...blocks) + 1;
  const swiglu = backbone.has("blocks.0.mlp.w12.weight");
  const [, width = 0] = shape(swiglu ? "blocks.0.mlp.w3.weight" : "blocks.0.mlp.fc2.weight", 2);
  const cls = backbone.has("cls_token");
  const objects = backbone.has("obj_token") ? shape("obj_token", 3)[1]! : 0;
  return {
    dim,
    depth,
    heads: headsOf(dim, plain),
    mlpRatio: swiglu ? swigluRatio(dim, width) : width / dim,
    ffn: swiglu ? "swiglu" : "mlp",
    patch,
    ...positionsOf(file, shape("pos_embed", 3)[1]!, cls, objects),
    layerScale: backbone.has("blocks.0.ls1.gamma"),
    cls,
    objects,
  };
}

function headsOf(dim: number, plain: ReadonlyMap<string, PlainValue>): NetworkShape["heads"] {
  const stated = readers
    .map((reader) => reader.stated?.(plain).heads ?? 0)
    .find((count) => Number.isSafeInteger(count) && count > 0);
  if (stated !== undefined) return { count: stated, from: "file" };
  if (dim % channelsPerHead !== 0) return undefined;
  return { count: dim / channelsPerHead, from: "convention" };
}

/** The ratio that gives such a gated width; 4 wherever it does. */
function swigluRatio(dim: number, width: number): number {
  return SwiGlu.widthFor(4 * dim) === width ? 4 : (1.5 * width) / dim;
}

/** Entries are those of the special tokens (each, one for all [OBJ], or none), then a square of patches. */
function positionsOf(
  file: string,
  length: number,
  cls: boolean,
  objects: number,
): { special: number; grid: number } {
  const first = cls ? 1 : 0;
  for (const special of new Set([first + Math.min(1, objects), first + objects, 0])) {
    const grid = Math.sqrt(length - special);
    if (grid >= 1 && Number.isInteger(grid)) return { special, grid };
  }
  throw new WeightsError(
    file,
    `pos_embed: got ${length} entries, wanted a square of patches and one for each special token ` +
      `(${first + objects}). Positions of other than square images are not read.`,
  );
}
