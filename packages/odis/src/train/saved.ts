import { empty, noGrad, type Tensor, type TensorEntry, tidy } from "@odis/torch";
import {
  parameterGroups,
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

/** Gives all processes the tensors and numbers of the first. All have to call it at once. */
export function spreadState(state: TrainState): void {
  const { world, optimizer } = state;
  for (const tensor of stateTensors(state).values()) world.broadcast([tensor], 0);
  const { optimizerUpdates } = world.fromFirst(stateNumbers(state));
  for (const [name, moments] of optimizer.state()) moments.updates = optimizerUpdates[name] ?? 0;
}

/** The moments of all weights, in the order that one process has them in. */
function gathered(
  { student, recipe, optimizer, world }: TrainState,
  owners: ReadonlyMap<Tensor, number>,
): SavedState {
  const own = optimizer.state();
  const weights = parameterGroups(student.namedParameters(), recipe).flatMap(
    ({ parameters }) => parameters,
  );
  const updates = world.share(weights.map(([name]) => own.get(name)?.updates ?? 0));
  const tensors = weights.flatMap(([name, weight]) =>
    (["mean", "square"] as const).map((moment): TensorEntry => {
      const { shape, dtype } = weight;
      const rank = owners.get(weight)!;
      const values = noGrad(() =>
        tidy(() => {
          const tensor = own.get(name)?.[moment] ?? empty(shape, { dtype, device: weight.device });
          world.broadcast([tensor], rank);
          return world.rank === 0 ? tensor.toArray() : undefined;
        }),
      );
      return { name: `optimizer.${moment}.${name}`, shape, dtype, data: () => values! };
    }),
  );
  return {
    tensors,
    numbers: {
      optimizerUpdates: Object.fromEntries(
        weights.map(([name, weight], at) => [name, updates[owners.get(weight)!]![at]!]),
      ),
    },
  };
}
