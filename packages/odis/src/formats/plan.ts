import { cat, fromBuffer, noGrad, type Tensor, tidy, zeros } from "@odis/torch";
import { plain, WeightsError } from "../core/index.js";
import { type Network, resizePositions } from "../model/index.js";
import type { WeightsSpec } from "./files/index.js";
import type { PlainValue, WeightFile } from "./format.js";
import type { FileNetwork, Leftover, WeightSource } from "./find.js";
import { checkFit } from "./fit.js";
import { planHeads } from "./heads.js";
import type { ImportReport } from "./report.js";
import { type NetworkShape, shapeOf } from "./shape.js";
import { sourceOf, type TokenEntry, tokenEntriesOf, tokenNotes } from "./token-entries.js";
import { copy, fits, misfit, type NetworkWeight, type Transfer } from "./transfer.js";

export interface ImportPlan extends ImportReport {
  readonly taken: readonly Transfer[];
}

/**
 * How a file's weights become a network's. Looks at shapes only.
 *
 * @param parts `backbone` leaves the file's heads alone
 * @param grid rows and columns of patches, over what the file says
 * @throws WeightsError when they do not fit: what, got, wanted, and which settings would
 */
export function planImport(
  found: FileNetwork,
  leaves: ReadonlyMap<string, PlainValue>,
  network: Network,
  { parts = "all", grid }: Partial<Pick<WeightsSpec, "parts" | "grid">> = {},
): ImportPlan {
  const { file, side } = found;
  const theirs = shapeOf(found, leaves, grid);
  checkFit(file, theirs, network.backbone.config);
  const wanted = network.namedParameters().map(([name, { shape }]) => ({ name, shape }));
  const backbone = planBackbone(found, theirs, network);
  const heads = planHeads(
    file,
    wanted.filter(({ name }) => !name.startsWith(prefix)),
    parts === "all" ? found.heads : undefined,
  );
  const taken = [...backbone.taken, ...heads.taken];
  const read = new Set(taken.flatMap(({ from }) => from));
  const left = [...found.backbone.values(), ...found.heads.values()]
    .flatMap(({ from }) => from)
    .filter((name) => !read.has(name))
    .map((name) => ({ name, reason: "the network has no place for it" }));
  return {
    file,
    side,
    taken,
    fresh: [...backbone.fresh, ...heads.fresh],
    unused: [...left, ...found.unused],
    notes: [
      ...headsNote(theirs, network),
      ...normNote(theirs, network),
      ...tokenNotes(theirs, tokenEntriesOf(network)),
    ],
  };
}

const prefix = "backbone.";

function planBackbone(
  { file, backbone }: FileNetwork,
  theirs: NetworkShape,
  network: Network,
): { readonly taken: readonly Transfer[]; readonly fresh: readonly Leftover[] } {
  const taken: Transfer[] = [];
  const fresh: Leftover[] = [];
  const entries = tokenEntriesOf(network);
  for (const [name, { shape }] of network.backbone.namedParameters()) {
    const weight = { name: prefix + name, shape };
    const found = backbone.get(name);
    if (name === "cls_token" || name === "obj_token") {
      const own = name === "cls_token" ? entries.cls : entries.objects;
      if (theirs.cls || theirs.objects > 0) taken.push(tokens(weight, backbone, theirs, own));
      else fresh.push({ name: weight.name, reason: "the file has no token of its kind" });
    } else if (found && name === "pos_embed")
      taken.push(positions(weight, found, theirs, entries.positions));
    else if (found && fits(found, weight)) taken.push(copy(found, weight));
    else if (!found && name === "masked_embed")
      fresh.push({ name: weight.name, reason: "the file has no embedding of hidden patches" });
    else throw misfit(file, found, weight, "Use weights of the recipe's architecture.");
  }
  return { taken, fresh };
}

/** Each entry starts as the file's token of its kind, or else as the one that is there. */
function tokens(
  { name }: NetworkWeight,
  backbone: FileNetwork["backbone"],
  theirs: NetworkShape,
  entries: readonly TokenEntry[],
): Transfer {
  const sources = entries.map((entry) => {
    const { kind, index } = sourceOf(entry, theirs);
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
  { name, shape: [, length = 0, dim = 0] }: NetworkWeight,
  found: WeightSource,
  theirs: NetworkShape,
  entries: readonly TokenEntry[],
): Transfer {
  const side = Math.sqrt(length - entries.length);
  const { special, grid } = theirs;
  const { rows, columns } = grid;
  const same = rows === side && columns === side;
  const rowOf = (table: Tensor, entry: TokenEntry): Tensor => {
    const { row } = sourceOf(entry, theirs);
    return row === undefined ? zeros([1, 1, dim]) : table.narrow(1, row, 1);
  };
  return {
    to: name,
    from: found.from,
    how: same ? undefined : `resized from ${rows} x ${columns} to ${side} x ${side} patches`,
    make(read) {
      const table = read(found);
      const patches = table.narrow(1, special, rows * columns);
      const fitting = same ? patches : resizePositions(patches, side, side, [rows, columns]);
      return cat([...entries.map((entry) => rowOf(table, entry)), fitting], 1);
    },
  };
}

function headsNote({ heads }: NetworkShape, { backbone }: Network): readonly string[] {
  const mine = backbone.config.heads;
  if (heads?.from === "file") return [];
  const rest = heads
    ? `published networks of this width have ${heads.count}`
    : "no convention tells it for this width";
  return heads?.count === mine
    ? []
    : [`the file does not say how many attention heads it has: ${mine} by the recipe; ${rest}`];
}

/** Training goes on with the recipe's; the difference is told, since it changes features a little. */
function normNote({ normEpsilon }: NetworkShape, { backbone }: Network): readonly string[] {
  const mine = backbone.config.normEpsilon;
  return normEpsilon === undefined || normEpsilon === mine
    ? []
    : [
        `its layer norms add ${normEpsilon} to the variance, the recipe's ${mine} (model.normEpsilon)`,
      ];
}

/**
 * Copies a file's weights into a network, one at a time, as planned.
 *
 * @throws WeightsError at the first that holds NaN or infinity
 */
export function importWeights(file: WeightFile, { taken }: ImportPlan, network: Network): void {
  const weights = new Map(network.namedParameters());
  const read = (name: string): Tensor => {
    const { dtype, shape } = file.info(name);
    return fromBuffer(file.read(name), shape, { dtype }).to({ dtype: "float32" });
  };
  noGrad(() => {
    for (const { to, from, make } of taken)
      tidy(() => {
        const made = make((source) =>
          source.from.length === 1 ? read(source.from[0]!) : cat(source.from.map(read), 0),
        );
        if (!made.isfinite().all().item())
          throw new WeightsError(
            file.path,
            `tensor ${from.map(plain).join(", ")}: holds NaN or infinite numbers. The training that made ` +
              `it has diverged, or the file is damaged; use an earlier checkpoint.`,
          );
        weights.get(to)!.copy_(made);
      });
  });
}
