import { WeightsError } from "../core/index.js";
import { SwiGlu } from "../model/index.js";
import type { FileNetwork, WeightSource } from "./find.js";
import type { PlainValue, StatedShape } from "./format.js";
import { type Grid, gridOf } from "./grid.js";
import { readers } from "./registry.js";

/** Shape of a network, as far as its file tells. */
export interface NetworkShape {
  readonly dim: number;
  readonly depth: number;
  /** undefined when neither the file nor a convention tells */
  readonly heads: { readonly count: number; readonly from: "file" | "convention" } | undefined;
  readonly mlpRatio: number;
  readonly ffn: "mlp" | "swiglu";
  /** side of a patch, pixels */
  readonly patch: number;
  /** patches that the positions are laid out for */
  readonly grid: Grid;
  readonly layerScale: boolean;
  /** of the layer norms; undefined when the file does not say */
  readonly normEpsilon: number | undefined;
  readonly cls: boolean;
  /** vectors that [OBJ] tokens begin as, 0 without [OBJ] */
  readonly objects: number;
  /** position entries before those of the patches; 0 when the special tokens have none */
  readonly special: number;
}

/** Every published ViT has heads of so many channels. */
const channelsPerHead = 64;

/**
 * Reads the shape of a network off its weights, and what they do not tell off the file's texts.
 *
 * @param plain what the file says besides its tensors
 * @param asked rows and columns of patches, over what the file says
 * @throws WeightsError naming what is missing, impossible, or not told
 */
export function shapeOf(
  { file, backbone }: FileNetwork,
  plain: ReadonlyMap<string, PlainValue>,
  asked?: Pick<Grid, "rows" | "columns">,
): NetworkShape {
  const weights = new Shapes(file, backbone);
  const [dim, , patch] = weights.sides("patch_embed.proj.weight", [
    undefined,
    3,
    undefined,
    undefined,
  ]);
  weights.sides("patch_embed.proj.weight", [dim, 3, patch, patch]);
  const depth = depthOf(file, backbone);
  const swiglu = backbone.has("blocks.0.mlp.w12.weight");
  const [, width] = weights.sides(`blocks.0.mlp.${swiglu ? "w3" : "fc2"}.weight`, [dim, undefined]);
  for (let block = 0; block < depth; block += 1) {
    const at = `blocks.${block}`;
    weights.sides(`${at}.attn.qkv.weight`, [3 * dim, dim]);
    weights.sides(`${at}.mlp.${swiglu ? "w12" : "fc1"}.weight`, [swiglu ? 2 * width : width, dim]);
  }
  const cls = backbone.has("cls_token");
  if (cls) weights.sides("cls_token", [1, 1, dim]);
  const objects = backbone.has("obj_token")
    ? weights.sides("obj_token", [1, undefined, dim])[1]
    : 0;
  const [, entries] = weights.sides("pos_embed", [1, undefined, dim]);
  const stated = statedShape(plain);
  checkStated(file, stated, { dim, depth, patch });
  const tokens = { cls, objects };
  return {
    dim,
    depth,
    heads: headsOf(dim, stated.heads),
    mlpRatio: swiglu ? swigluRatio(dim, width) : width / dim,
    ffn: swiglu ? "swiglu" : "mlp",
    patch,
    ...gridOf(file, entries, tokens, patch, { ...stated, ...(asked && { grid: asked }) }),
    layerScale: backbone.has("blocks.0.ls1.gamma"),
    normEpsilon: stated.normEpsilon,
    cls,
    objects,
  };
}

/** Sides of tensors, each checked when it is asked for. */
class Shapes {
  constructor(
    private readonly file: string,
    private readonly backbone: ReadonlyMap<string, WeightSource>,
  ) {}

  /** @param wanted undefined: any length from 1 up */
  sides<const W extends readonly (number | undefined)[]>(
    name: string,
    wanted: W,
  ): { readonly [At in keyof W]: number } {
    const got = this.backbone.get(name)?.shape;
    const fits =
      got?.length === wanted.length &&
      wanted.every((side, axis) => (side === undefined ? got[axis]! > 0 : got[axis] === side));
    if (fits) return got as { readonly [At in keyof W]: number };
    throw new WeightsError(
      this.file,
      `${name}: got ${got ? `shape [${got.slice(0, 8).join(", ")}]` : "nothing"}, wanted ` +
        `[${wanted.map((side) => side ?? "any").join(", ")}]. This is no whole Vision Transformer.`,
    );
  }
}

/** Blocks are numbered through; a number is no reason to believe in those before it. */
function depthOf(file: string, backbone: ReadonlyMap<string, WeightSource>): number {
  const found = new Set<number>();
  for (const name of backbone.keys()) {
    const number = /^blocks\.(\d+)\./.exec(name)?.[1];
    if (number !== undefined) found.add(Number(number));
  }
  const numbers = [...found].toSorted((a, b) => a - b);
  if (numbers.length > 0 && numbers.every((number, at) => number === at)) return numbers.length;
  const shown = numbers.slice(0, 12).join(", ");
  throw new WeightsError(
    file,
    `blocks: got ${numbers.length}${shown && `, numbered ${shown}`}${numbers.length > 12 ? ", …" : ""}; ` +
      `wanted them numbered from 0 without a gap. Part of the network is missing: use its whole file.`,
  );
}

/** What a file's texts say of its network, by the first format that knows each. */
function statedShape(plain: ReadonlyMap<string, PlainValue>): StatedShape {
  const merged: Record<string, unknown> = {};
  for (const { stated } of readers)
    for (const [what, value] of Object.entries(stated?.(plain) ?? {}))
      if (value !== undefined) merged[what] ??= value;
  return merged;
}

/** Texts that speak of another network than the weights make everything else they say doubtful. */
function checkStated(
  file: string,
  stated: StatedShape,
  found: Readonly<Record<"dim" | "depth" | "patch", number>>,
): void {
  const { activation } = stated;
  if (activation !== undefined && activation !== "gelu")
    throw new WeightsError(
      file,
      `its config.json says hidden_act ${activation}; odis has gelu. Use weights of a network with gelu.`,
    );
  for (const [what, value] of Object.entries(found)) {
    const said = stated[what as keyof typeof found];
    if (said !== undefined && said !== value)
      throw new WeightsError(
        file,
        `${names[what as keyof typeof found]} ${value} by its weights and ${said} by what stands beside them. ` +
          `They belong to different networks, or a part is missing: restore both from one place.`,
      );
  }
}

const names = { dim: "width", depth: "number of blocks", patch: "patch size" } as const;

function headsOf(dim: number, stated: number | undefined): NetworkShape["heads"] {
  if (stated !== undefined) return { count: stated, from: "file" };
  if (dim % channelsPerHead !== 0) return undefined;
  return { count: dim / channelsPerHead, from: "convention" };
}

/** The ratio that gives such a gated width; 4 wherever it does. */
function swigluRatio(dim: number, width: number): number {
  return SwiGlu.widthFor(4 * dim) === width ? 4 : (1.5 * width) / dim;
}
