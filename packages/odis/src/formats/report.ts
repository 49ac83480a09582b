import { plain } from "../core/index.js";
import type { Leftover } from "./find.js";
import type { Side } from "./format.js";
import type { TakenWeight } from "./transfer.js";

/** What an import does, weight by weight. */
export interface ImportReport {
  readonly file: string;
  /** undefined when the file does not say */
  readonly side: Side | undefined;
  readonly taken: readonly TakenWeight[];
  /** weights of the network that keep their random start */
  readonly fresh: readonly Leftover[];
  /** tensors of the file that nobody reads */
  readonly unused: readonly Leftover[];
  /** what a user should know besides */
  readonly notes: readonly string[];
}

/** What became of the weights, a line for each reason; all names are in `ImportReport`. */
export function describeImport({ side, taken, fresh, unused, notes }: ImportReport): string[] {
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
    const shown = names.slice(0, shownNames).map(plain).join(", ");
    return `${shown}${more > 0 ? ` and ${more} more` : ""}: ${reason}`;
  });
}
