import type { Batch } from "../batches/index.js";
import { existingPairs, type pairWeights } from "../loss/index.js";
import { kindsRead } from "../recipe/index.js";
import type { TrainState } from "./state.js";

/** What the processes must know of each other's images. */
export interface Facts {
  /** pairs of views that both show the object */
  readonly pairs: number;
  readonly hidden: number;
  /** presence in the global views, [G, B, O] */
  readonly present: readonly number[];
}

/** Exchanges what is known of all images before the step, and what else is to be said, in one message. */
export function meet(
  { recipe, world }: TrainState,
  batch: Batch,
  say: readonly number[],
): { readonly everyone: readonly Facts[]; readonly said: readonly (readonly number[])[] } {
  const { global } = batch;
  const objects = kindsRead(recipe).includes("object");
  const pairs = objects ? existingPairs(presenceInViews(batch), viewShape(batch)) : 0;
  const present = objects ? [...global.present] : [];
  const heard = world.share([...say, pairs, count(global.hidden), ...present]);
  return {
    everyone: heard.map((all) => {
      const [ofPairs = 0, hidden = 0, ...flags] = all.slice(say.length);
      return { pairs: ofPairs, hidden, present: flags };
    }),
    said: heard.map((all) => all.slice(0, say.length)),
  };
}

export const presenceInViews = ({ global, local }: Batch): Parameters<typeof pairWeights>[0] => ({
  student: Buffer.concat([global.present, local.present]),
  teacher: global.present,
});

export const viewShape = ({
  global,
  local,
  size,
  objects,
}: Batch): Parameters<typeof pairWeights>[1] => ({
  S: global.views + local.views,
  G: global.views,
  B: size,
  O: objects,
});

/** Number of flags that are set. */
export const count = (flags: ArrayLike<number>): number => {
  let found = 0;
  for (let at = 0; at < flags.length; at += 1) found += flags[at]!;
  return found;
};
