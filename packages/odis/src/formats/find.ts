import type { TensorInfo } from "@odis/torch";
import { plain, WeightsError } from "../core/index.js";
import type { Renamed, Side, WeightFile } from "./format.js";
import { type Meaning, meaningOf } from "./meaning.js";
import { readers, readTitles } from "./registry.js";

/** A weight of ours in a file: the tensors that make it, joined along their rows. */
export interface WeightSource {
  readonly from: readonly string[];
  readonly shape: readonly number[];
}

/** Something that was not taken or not found, with the reason. */
export interface Leftover {
  readonly name: string;
  readonly reason: string;
}

/** One network of a file, its weights under our names. */
export interface FileNetwork {
  readonly file: string;
  /** undefined when the file does not say whose they are */
  readonly side: Side | undefined;
  /** all networks that the file holds */
  readonly sides: readonly Side[];
  readonly backbone: ReadonlyMap<string, WeightSource>;
  readonly heads: ReadonlyMap<string, WeightSource>;
  /** tensors of the file that are neither */
  readonly unused: readonly Leftover[];
}

/**
 * Finds the weights of a student or teacher in a file.
 *
 * @param side default: the teacher, or the only network that there is
 * @throws WeightsError when there is no such network, or it has parts that odis has not
 */
export function findNetwork(
  file: Pick<WeightFile, "path" | "names" | "info" | "unreadable">,
  side?: Side,
): FileNetwork {
  const meant = file.names.map((full) => ({ full, ...meaningOf(full) }));
  const networks = new Set(
    meant.filter(({ kind }) => kind === "backbone").map((tensor) => tensor.side),
  );
  const chosen = choose(file.path, networks, side);
  const mine = meant.filter((tensor) => tensor.side === chosen);
  for (const tensor of mine)
    if (tensor.kind === "foreign") throw unsupported(file.path, tensor.full, tensor.what);
  checkReadable(file, chosen);
  const backbone = settled(sourcesOf("backbone", mine, file));
  // Only a student can hide patches, so its embedding of hidden patches serves the teacher's weights.
  const students = meant.filter((tensor) => tensor.side === "student");
  const borrowed = sourcesOf("backbone", students, file).get("masked_embed");
  if (borrowed && !backbone.has("masked_embed")) backbone.set("masked_embed", borrowed);
  const heads = sourcesOf("head", mine, file);
  const taken = new Set([...backbone.values(), ...heads.values()].flatMap(({ from }) => from));
  return {
    file: file.path,
    side: chosen,
    sides: sidesOf(networks),
    backbone,
    heads,
    unused: [
      ...meant
        .filter(({ full }) => !taken.has(full))
        .map((tensor) => ({ name: tensor.full, reason: reasonOf(tensor, chosen) })),
      ...[...file.unreadable].map(([name, what]) => ({
        name,
        reason: `${what}, which is not read`,
      })),
    ],
  };
}

/** A network with a weight that cannot be read would be half of one. */
function checkReadable(
  { path, unreadable }: Pick<WeightFile, "path" | "unreadable">,
  chosen: Side | undefined,
): void {
  for (const [full, what] of unreadable) {
    const { side, kind } = meaningOf(full);
    if (side === chosen && (kind === "backbone" || kind === "head"))
      throw new WeightsError(
        path,
        `tensor ${plain(full)}: ${what}, which is not read here. Convert it in Python, e.g. tensor.float() ` +
          `for whole numbers, dequantize() for a quantised one.`,
      );
  }
}

type MeantTensor = Meaning & { readonly full: string };

/** Weights of one kind by our names, each from one tensor or from its parts. */
function sourcesOf(
  kind: Renamed["kind"],
  tensors: readonly MeantTensor[],
  file: Pick<WeightFile, "path" | "info">,
): Map<string, WeightSource> {
  const parts = new Map<string, SourcePart[]>();
  for (const tensor of tensors) {
    if (tensor.kind !== kind) continue;
    const { full, name } = tensor;
    const { at, of } = ("part" in tensor ? tensor.part : undefined) ?? { at: 0, of: 1 };
    const known = parts.get(name) ?? [];
    known.push({ full, at, of, info: file.info(full) });
    parts.set(name, known);
  }
  return new Map([...parts].map(([name, found]) => [name, join(file.path, name, found)]));
}

/** Gives every format the chance to tell names apart by their shapes. */
function settled(backbone: ReadonlyMap<string, WeightSource>): Map<string, WeightSource> {
  return new Map(readers.reduce((sources, { settle }) => settle?.(sources) ?? sources, backbone));
}

function choose(
  path: string,
  networks: ReadonlySet<Side | undefined>,
  asked: Side | undefined,
): Side | undefined {
  if (networks.size === 0)
    throw new WeightsError(
      path,
      `no Vision Transformer that odis knows. Known are the names of ${readTitles.join("; ")}.`,
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
    `tensor ${plain(name)}: ${what}, which odis has not; without it the features would be others. ` +
      `Use weights of a network without it.`,
  );
}

interface SourcePart {
  readonly full: string;
  readonly at: number;
  readonly of: number;
  readonly info: TensorInfo;
}

function join(path: string, name: string, parts: readonly SourcePart[]): WeightSource {
  const ordered = parts.toSorted((a, b) => a.at - b.at);
  const from = ordered.map(({ full }) => full);
  const { of, info } = ordered[0]!;
  const whole = ordered.every(
    (part, at) => part.at === at && part.of === of && part.info.shape.join() === info.shape.join(),
  );
  if (!whole || ordered.length !== of)
    throw new WeightsError(
      path,
      `${name}: got ${from.slice(0, 4).map(plain).join(", ")}; wanted one tensor, or query, key and value of one shape. ` +
        `The file holds two networks, or half of one.`,
    );
  const [rows = 0, ...rest] = info.shape;
  return { from, shape: of === 1 ? info.shape : [of * rows, ...rest] };
}

function reasonOf(tensor: MeantTensor, chosen: Side | undefined): string {
  if (tensor.kind === "other") return tensor.reason;
  return tensor.side === chosen ? "unused" : `the ${tensor.side ?? "other network"}'s`;
}
