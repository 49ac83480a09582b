import { Rng } from "../core/index.js";
import type { Item } from "../features/index.js";
import { rowsEverywhere, type SharedSet, sharedNearest, type Sharing } from "./shares.js";

/** An object with its class. */
export interface LabelledItem extends Item {
  readonly label: number;
}

/** A test object and what the features find most like it. */
export interface Example {
  readonly query: LabelledItem;
  /** best first */
  readonly neighbours: readonly (LabelledItem & { readonly similarity: number })[];
}

const exampleCount = 8;
const neighbourCount = 6;

/**
 * The nearest neighbours of some queries, chosen by chance but spread over classes and images:
 * nobody picked the ones that look good.
 *
 * @param seed the same seed chooses the same queries
 */
export function neighbourExamples(
  bank: SharedSet,
  queries: SharedSet,
  seed: number,
  sharing: Sharing,
): Example[] {
  const rows = spreadRows(queries, new Rng("examples", seed));
  const chosen = rowsEverywhere(queries, rows, sharing);
  const { k, rows: found, similarities } = sharedNearest(bank, chosen, neighbourCount, sharing);
  return rows.map((row, at) => ({
    query: { ...queries.items[row]!, label: queries.labels[row]! },
    neighbours: Array.from({ length: k }, (_, i) => {
      const neighbour = found[at * k + i]!;
      return {
        ...bank.items[neighbour]!,
        label: bank.labels[neighbour]!,
        similarity: similarities[at * k + i]!,
      };
    }),
  }));
}

/** One object of each class in turn, each from another image while there are enough. */
function spreadRows({ items, labels }: SharedSet, rng: Rng): number[] {
  const order = [...rng.permutation(labels.length)];
  const chosen: number[] = [];
  const classesUsed = new Set<number>();
  const imagesUsed = new Set<number>();
  const rules = [
    (row: number) => !classesUsed.has(labels[row]!) && !imagesUsed.has(items[row]!.image),
    (row: number) => !imagesUsed.has(items[row]!.image),
    () => true,
  ];
  for (const fits of rules) {
    for (const row of order) {
      if (chosen.length === exampleCount) return chosen;
      if (chosen.includes(row) || !fits(row)) continue;
      chosen.push(row);
      classesUsed.add(labels[row]!);
      imagesUsed.add(items[row]!.image);
    }
  }
  return chosen;
}
