import { cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import type { Network } from "../model/network.js";
import type { WeightFile } from "./file.js";
import type { ImportPlan, Outcome } from "./plan.js";

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
    ...byReason(fresh).map((line) => `begins anew: ${line}`),
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
