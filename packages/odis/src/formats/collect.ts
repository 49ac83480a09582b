import type { TensorInfo } from "@odis/torch";
import { WeightsError } from "../core/index.js";
import type { WeightFile } from "./open.js";
import { meaningOf, type Side } from "./names.js";

/** A weight of ours, and the tensors of the file that make it, joined along their rows. */
export interface Found {
  readonly from: readonly string[];
  readonly shape: readonly number[];
}

/** Something that was not taken or not found, with the reason. */
export interface Left {
  readonly name: string;
  readonly reason: string;
}

/** The weights of one network of a file, under our names. */
export interface Collected {
  readonly file: string;
  /** undefined when the file does not say whose they are */
  readonly side: Side | undefined;
  /** all networks that the file holds */
  readonly sides: readonly Side[];
  readonly backbone: ReadonlyMap<string, Found>;
  readonly heads: ReadonlyMap<string, Found>;
  /** tensors of the file that are neither */
  readonly unused: readonly Left[];
}

/**
 * Finds the weights of a student or teacher in a file.
 *
 * @param side default: the teacher, or the only network that there is
 * @throws WeightsError when there is no such network, or it has parts that odis has not
 */
export function collect(file: Pick<WeightFile, "path" | "names" | "info">, side?: Side): Collected {
  const meant = file.names.map((full) => ({ full, ...meaningOf(full) }));
  const networks = new Set(
    meant.filter(({ kind }) => kind === "backbone").map((tensor) => tensor.side),
  );
  const chosen = choose(file.path, networks, side);
  const mine = meant.filter((tensor) => tensor.side === chosen);
  for (const tensor of mine)
    if (tensor.kind === "foreign") throw unsupported(file.path, tensor.full, tensor.what);
  const gather = (kind: "backbone" | "head", from: typeof meant) => {
    const parts = new Map<string, { full: string; third: number; info: TensorInfo }[]>();
    for (const tensor of from)
      if (tensor.kind === kind) {
        const { full, name } = tensor;
        const third = ("third" in tensor ? tensor.third : undefined) ?? 0;
        const found = { full, third, info: file.info(full) };
        parts.set(name, [...(parts.get(name) ?? []), found]);
      }
    return new Map([...parts].map(([name, found]) => [name, join(file.path, name, found)]));
  };
  const backbone = withSwiGlu(gather("backbone", mine));
  // Only a student can hide patches, so its embedding of hidden patches serves the teacher's weights.
  const borrowed = gather(
    "backbone",
    meant.filter((tensor) => tensor.side === "student"),
  ).get("masked_embed");
  if (borrowed && !backbone.has("masked_embed")) backbone.set("masked_embed", borrowed);
  const heads = gather("head", mine);
  const taken = new Set([...backbone.values(), ...heads.values()].flatMap(({ from }) => from));
  return {
    file: file.path,
    side: chosen,
    sides: sidesOf(networks),
    backbone,
    heads,
    unused: meant
      .filter(({ full }) => !taken.has(full))
      .map((tensor) => ({ name: tensor.full, reason: reasonOf(tensor, chosen) })),
  };
}

function choose(
  path: string,
  networks: ReadonlySet<Side | undefined>,
  asked: Side | undefined,
): Side | undefined {
  if (networks.size === 0)
    throw new WeightsError(
      path,
      `no Vision Transformer that odis knows. Known are the names of DINO, iBOT, DINOv2, timm and ` +
        `Hugging Face's ViTModel and Dinov2Model.`,
    );
  const sides = sidesOf(networks);
  if (asked !== undefined && !networks.has(asked))
    throw new WeightsError(
      path,
      sides.length === 0
        ? `does not say whose weights it holds, student's or teacher's. Leave #${asked} out.`
        : `has no ${asked}; it has a ${sides.join(" and a ")}. Give ${path}#${sides[0]}.`,
    );
  if (asked !== undefined) return asked;
  return networks.has("teacher") ? "teacher" : [...networks][0];
}

function sidesOf(networks: ReadonlySet<Side | undefined>): readonly Side[] {
  return [...networks].filter((side) => side !== undefined);
}

function unsupported(path: string, name: string, what: string): WeightsError {
  return new WeightsError(
    path,
    `tensor ${name}: ${what}, which odis has not; without it the features would be others. ` +
      `Use weights of a network without it.`,
  );
}

function join(
  path: string,
  name: string,
  parts: readonly { readonly full: string; readonly third: number; readonly info: TensorInfo }[],
): Found {
  const ordered = parts.toSorted((a, b) => a.third - b.third);
  const from = ordered.map(({ full }) => full);
  const [first] = ordered;
  const [rows = 0, ...rest] = first!.info.shape;
  const alike = ordered.every(({ info }) => info.shape.join() === first!.info.shape.join());
  const complete =
    parts.length === 1 ||
    (parts.length === 3 && ordered.every(({ third }, index) => third === index));
  if (!alike || !complete)
    throw new WeightsError(
      path,
      `${name}: got ${from.join(", ")}; wanted one tensor, or query, key and value of one shape. ` +
        `The file holds two networks, or half of one.`,
    );
  if (parts.length === 1) return { from, shape: first!.info.shape };
  return { from, shape: [3 * rows, ...rest] };
}

/** timm's gated MLP has a plain one's names; its first layer is twice as wide as its second reads. */
function withSwiGlu(backbone: Map<string, Found>): Map<string, Found> {
  const [outputs] = backbone.get("blocks.0.mlp.fc1.weight")?.shape ?? [];
  const [, inputs] = backbone.get("blocks.0.mlp.fc2.weight")?.shape ?? [];
  if (outputs === undefined || inputs === undefined || outputs !== 2 * inputs) return backbone;
  return new Map(
    [...backbone].map(([name, found]) => [
      name.replace(".mlp.fc1.", ".mlp.w12.").replace(".mlp.fc2.", ".mlp.w3."),
      found,
    ]),
  );
}

function reasonOf(tensor: ReturnType<typeof meaningOf>, chosen: Side | undefined): string {
  if (tensor.kind === "other") return tensor.reason;
  return tensor.side === chosen ? "unused" : `the ${tensor.side ?? "other network"}'s`;
}
