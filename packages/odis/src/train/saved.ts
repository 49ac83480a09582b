import { empty, noGrad, type Tensor, type TensorEntry, tidy, zeros } from "@odis/torch";
import {
  type ForOthers,
  momentsOf,
  stateNumbers,
  type StateNumbers,
  stateTensors,
  type TrainState,
} from "./state.js";

/** All that a checkpoint keeps of a state. */
export interface SavedState {
  readonly tensors: readonly TensorEntry[];
  readonly numbers: StateNumbers;
}

/**
 * What a checkpoint keeps. Where processes share the optimiser's work, all of them have to call this
 * at once: the first gets everybody's moments, into host memory, and its checkpoint is the one that a
 * single process would have written.
 */
export function savedState(state: TrainState): SavedState {
  const entry = ([name, tensor]: readonly [string, Tensor]): TensorEntry => {
    const { shape, dtype } = tensor;
    return { name, shape, dtype, data: () => tensor.toArray() };
  };
  const own = [...stateTensors(state)];
  if (!state.owners) return { tensors: own.map(entry), numbers: stateNumbers(state) };
  const { tensors, numbers } = gathered(state, state.owners);
  const isMoment = ([name]: readonly [string, Tensor]): boolean => name.startsWith("optimizer.");
  const firstMoment = own.findIndex(isMoment);
  const before = own.slice(0, firstMoment < 0 ? own.length : firstMoment);
  const after = own.slice(before.length).filter((one) => !isMoment(one));
  return { tensors: [...before.map(entry), ...tensors, ...after.map(entry)], numbers };
}

/**
 * Gives all processes the tensors and numbers of the first. All have to call it at once.
 *
 * @param others what the first has read for the others, which is freed
 */
export function spreadState(state: TrainState, others: ForOthers | undefined): void {
  const { world, optimizer, owners } = state;
  const own = stateTensors(state);
  for (const [name, tensor] of own)
    if (!owners || !name.startsWith("optimizer.")) world.broadcast([tensor], 0);
  if (owners)
    for (const { name, weight } of momentsOf(state))
      noGrad(() =>
        tidy(() => {
          const { shape, dtype, device } = weight;
          const read = others?.moments.get(name)?.to({ device });
          const tensor = own.get(name) ?? read ?? zeros(shape, { dtype, device });
          world.broadcast([tensor], 0);
        }),
      );
  for (const tensor of others?.moments.values() ?? []) tensor.free();
  const { optimizerUpdates } = world.fromFirst(others?.numbers ?? stateNumbers(state));
  for (const [name, moments] of optimizer.state()) moments.updates = optimizerUpdates[name] ?? 0;
}

/** The moments of all weights, in the order that one process has them in. */
function gathered(state: TrainState, owners: ReadonlyMap<Tensor, number>): SavedState {
  const { optimizer, world } = state;
  const own = optimizer.state();
  const all = momentsOf(state);
  const updates = world.share(all.map(({ of }) => own.get(of)?.updates ?? 0));
  const tensors = all.map(({ name, of, moment, weight }): TensorEntry => {
    const { shape, dtype, device } = weight;
    const values = noGrad(() =>
      tidy(() => {
        const tensor = own.get(of)?.[moment] ?? empty(shape, { dtype, device });
        world.broadcast([tensor], owners.get(weight)!);
        return world.rank === 0 ? tensor.toArray() : undefined;
      }),
    );
    return { name, shape, dtype, data: () => values! };
  });
  return {
    tensors,
    numbers: {
      optimizerUpdates: Object.fromEntries(
        all.map(({ of, weight }, at) => [of, updates[owners.get(weight)!]![at]!]),
      ),
    },
  };
}
