import { cat, type Tensor, zeros } from "@odis/torch";
import { resizePositions } from "../model/backbone.js";
import type { Network } from "../model/network.js";
import type { Collected, Found, Left } from "./collect.js";
import type { PlainValue } from "./file.js";
import { checkFit } from "./fit.js";
import { type Geometry, geometryOf } from "./geometry.js";
import { planHeads } from "./heads.js";
import type { Side } from "./names.js";
import { type Slot, slotsOf, sourceOf, tokenNotes } from "./slots.js";
import { copyStep, fits, misfit, type Step, type Taken, type Wanted } from "./step.js";

/** What an import does, weight by weight. */
export interface Outcome {
  readonly file: string;
  /** undefined when the file does not say */
  readonly side: Side | undefined;
  readonly taken: readonly Taken[];
  /** weights of the network that keep their random start */
  readonly fresh: readonly Left[];
  /** tensors of the file that nobody reads */
  readonly unused: readonly Left[];
  /** what a user should know besides */
  readonly notes: readonly string[];
}

export interface ImportPlan extends Outcome {
  readonly taken: readonly Step[];
}

/**
 * How a file's weights become a network's. Looks at shapes only.
 *
 * @param parts `backbone` leaves the file's heads alone
 * @throws WeightsError when they do not fit: what, got, wanted, and which settings would
 */
export function planImport(
  collected: Collected,
  plain: ReadonlyMap<string, PlainValue>,
  network: Network,
  parts: "all" | "backbone" = "all",
): ImportPlan {
  const { file, side } = collected;
  const geometry = geometryOf(collected, plain);
  checkFit(file, geometry, network.backbone.config);
  const wanted = network.namedParameters().map(([name, { shape }]) => ({ name, shape }));
  const backbone = planBackbone(collected, geometry, network);
  const heads = planHeads(
    file,
    wanted.filter(({ name }) => !name.startsWith(prefix)),
    parts === "all" ? collected.heads : undefined,
  );
  const taken = [...backbone.taken, ...heads.taken];
  const read = new Set(taken.flatMap(({ from }) => from));
  const left = [...collected.backbone.values(), ...collected.heads.values()]
    .flatMap(({ from }) => from)
    .filter((name) => !read.has(name))
    .map((name) => ({ name, reason: "the network has no place for it" }));
  return {
    file,
    side,
    taken,
    fresh: [...backbone.fresh, ...heads.fresh],
    unused: [...left, ...collected.unused],
    notes: [...headsNote(geometry, network), ...tokenNotes(geometry, slotsOf(network))],
  };
}

const prefix = "backbone.";

function planBackbone(
  { file, backbone }: Collected,
  geometry: Geometry,
  network: Network,
): { readonly taken: readonly Step[]; readonly fresh: readonly Left[] } {
  const taken: Step[] = [];
  const fresh: Left[] = [];
  const slots = slotsOf(network);
  for (const [name, { shape }] of network.backbone.namedParameters()) {
    const weight = { name: prefix + name, shape };
    const found = backbone.get(name);
    if (name === "cls_token") taken.push(tokens(weight, backbone, geometry, slots.cls));
    else if (name === "obj_token") taken.push(tokens(weight, backbone, geometry, slots.objects));
    else if (found && name === "pos_embed")
      taken.push(positions(weight, found, geometry, slots.positions));
    else if (found && fits(found, weight)) taken.push(copyStep(found, weight));
    else if (!found && name === "masked_embed")
      fresh.push({ name: weight.name, reason: "the file has no embedding of hidden patches" });
    else throw misfit(file, found, weight, "Use weights of the recipe's architecture.");
  }
  return { taken, fresh };
}

/** Each slot starts as the file's token of its kind, or else as the one that is there. */
function tokens(
  { name }: Wanted,
  backbone: Collected["backbone"],
  geometry: Geometry,
  slots: readonly Slot[],
): Step {
  const sources = slots.map((slot) => {
    const { kind, index } = sourceOf(slot, geometry);
    return { found: backbone.get(kind === "cls" ? "cls_token" : "obj_token")!, index };
  });
  return {
    to: name,
    from: [...new Set(sources.flatMap(({ found }) => found.from))],
    make: (read) =>
      cat(
        sources.map(({ found, index }) => read(found).narrow(1, index, 1)),
        1,
      ),
  };
}

function positions(
  { name, shape: [, length = 0, dim = 0] }: Wanted,
  found: Found,
  geometry: Geometry,
  slots: readonly Slot[],
): Step {
  const grid = Math.sqrt(length - slots.length);
  const { special, grid: side } = geometry;
  const entry = (table: Tensor, slot: Slot): Tensor => {
    const { row } = sourceOf(slot, geometry);
    return row === undefined ? zeros([1, 1, dim]) : table.narrow(1, row, 1);
  };
  return {
    to: name,
    from: found.from,
    how: grid === side ? undefined : `resized from ${side} x ${side} to ${grid} x ${grid} patches`,
    make(read) {
      const table = read(found);
      const patches = table.narrow(1, special, side * side);
      const fitting = grid === side ? patches : resizePositions(patches, grid, grid);
      return cat([...slots.map((slot) => entry(table, slot)), fitting], 1);
    },
  };
}

function headsNote({ heads }: Geometry, { backbone }: Network): readonly string[] {
  const mine = backbone.config.heads;
  if (heads?.from === "file") return [];
  const rest = heads
    ? `published networks of this width have ${heads.count}`
    : "no convention tells it for this width";
  return heads?.count === mine
    ? []
    : [`the file does not say how many attention heads it has: ${mine} by the recipe; ${rest}`];
}
