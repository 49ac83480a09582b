import { cat, fromBuffer, noGrad, type Tensor, tidy, zeros } from "@odis/torch";
import { type Network, resizePositions } from "../model/index.js";
import type { Collected, Found, Left } from "./collect.js";
import type { PlainValue, WeightFile } from "./open.js";
import { checkFit } from "./fit.js";
import { type Geometry, geometryOf } from "./geometry.js";
import { copyStep, fits, misfit, planHeads, type Step, type Taken, type Wanted } from "./heads.js";
import type { Side } from "./names.js";

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

/** A special token, or an entry of the position table for one. */
export interface Slot {
  readonly kind: "cls" | "object";
  /** which [OBJ]; 0 where all share one */
  readonly index: number;
}

/** What a network keeps for its special tokens, in its order. */
export interface Slots {
  readonly cls: readonly Slot[];
  readonly objects: readonly Slot[];
  readonly positions: readonly Slot[];
}

export function slotsOf({ backbone }: Network): Slots {
  const { layout, config } = backbone;
  const cls: Slot[] = layout.cls ? [{ kind: "cls", index: 0 }] : [];
  const objects = (rule: "shared" | "each"): Slot[] =>
    Array.from(
      { length: rule === "each" ? layout.objects : Math.min(1, layout.objects) },
      (_, index) => ({
        kind: "object",
        index,
      }),
    );
  return {
    cls,
    objects: objects(config.objectEmbedding),
    positions: [...cls, ...objects(config.objectPosition)],
  };
}

/**
 * The file's token that a slot starts as, with its row in the file's position table. [OBJ] takes
 * the place of [CLS] (method: paper section 3), so where the file lacks one kind the other stands in.
 */
export function sourceOf(
  { kind, index }: Slot,
  { cls, objects, special }: Geometry,
): Slot & { readonly row: number | undefined } {
  const first = cls ? 1 : 0;
  const found: Slot =
    objects > 0 && (kind === "object" || !cls)
      ? { kind: "object", index: kind === "object" ? index % objects : 0 }
      : { kind: "cls", index: 0 };
  const ofObjects = special - first; // one entry for all [OBJ], or one for each
  const row = found.kind === "cls" ? 0 : first + (ofObjects > 1 ? found.index : 0);
  return { ...found, row: special === 0 ? undefined : row };
}

/** In which way tokens stand in for each other. */
export function tokenNotes(geometry: Geometry, slots: Slots): readonly string[] {
  const notes: string[] = [];
  const { objects } = slots;
  if (objects.length > 0 && geometry.objects === 0)
    notes.push("[OBJ] starts as the file's [CLS], with its position: it takes its place");
  if (slots.cls.length > 0 && !geometry.cls)
    notes.push("[CLS] starts as the file's [OBJ], with its position");
  const held = Math.max(1, geometry.objects);
  if (objects.length > held)
    notes.push(
      `${objects.length} [OBJ] tokens start as copies of ${held}; their objects tell them apart`,
    );
  if (geometry.special === 0)
    notes.push("the file has no positions for special tokens: theirs are 0");
  return notes;
}

/** Copies a file's weights into a network, one at a time, as planned. */
export function importWeights(file: WeightFile, { taken }: ImportPlan, network: Network): void {
  const weights = new Map(network.namedParameters());
  const read = (name: string): Tensor => {
    const { dtype, shape } = file.info(name);
    return fromBuffer(file.read(name), shape, { dtype }).to({ dtype: "float32" });
  };
  noGrad(() => {
    for (const { to, make } of taken)
      tidy(() => {
        const made = make(({ from }) =>
          from.length === 1 ? read(from[0]!) : cat(from.map(read), 0),
        );
        weights.get(to)!.copy_(made);
      });
  });
}

/** What became of the weights, a line for each reason; all names are in `Outcome`. */
export function describeOutcome({ side, taken, fresh, unused, notes }: Outcome): string[] {
  const whose = side === undefined ? "" : ` of the ${side}`;
  const changed = taken.filter(({ how }) => how !== undefined);
  return [
    `${taken.length} of ${taken.length + fresh.length} weights are the file's${whose}`,
    ...notes,
    ...byReason(changed.map(({ to, how }) => ({ name: to, reason: how! }))),
    ...byReason(fresh).map((line) => `randomly initialised: ${line}`),
    ...byReason(unused).map((line) => `not used: ${line}`),
  ];
}

const shownNames = 3;

function byReason(left: readonly { readonly name: string; readonly reason: string }[]): string[] {
  const groups = new Map<string, string[]>();
  for (const { name, reason } of left) groups.set(reason, [...(groups.get(reason) ?? []), name]);
  return [...groups].map(([reason, names]) => {
    const more = names.length - shownNames;
    const shown = names.slice(0, shownNames).join(", ");
    return `${shown}${more > 0 ? ` and ${more} more` : ""}: ${reason}`;
  });
}
