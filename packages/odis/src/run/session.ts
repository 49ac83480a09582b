import { type Tensor, tensor, type TensorEntry } from "@odis/torch";
import { z } from "zod";
import { RunError } from "../core/index.js";
import { restoreState, stateNumbers, stateTensors, type TrainState } from "../train/index.js";
import {
  dropCheckpointsAfter,
  latestCheckpoint,
  loadCheckpoint,
  saveCheckpoint,
} from "./checkpoint.js";

/** Where a run stands: what a checkpoint adds to the trainer's tensors. */
export interface Position {
  /** steps that were done; the next step, counted from 0 */
  readonly step: number;
  /** seconds of training so far */
  readonly seconds: number;
}

const savedSchema = z.object({
  seconds: z.number(),
  optimizerUpdates: z.record(z.string(), z.int()),
  generator: z.string(),
});

/**
 * Saves the whole state. The order of images and their views need no state of their own: they
 * follow from the seed and the step (`data/order.ts`).
 */
export function savePosition(
  folder: string,
  config: unknown,
  state: TrainState,
  { step, seconds }: Position,
  keep: number,
): string {
  const tensors: TensorEntry[] = [...stateTensors(state)].map(([name, { shape, dtype }]) => ({
    name,
    shape,
    dtype,
    data: () => stateTensors(state).get(name)!.toArray(),
  }));
  return saveCheckpoint(
    folder,
    { step, config, state: { seconds, ...stateNumbers(state) } },
    tensors,
    keep,
  );
}

/**
 * Puts the newest whole checkpoint of a run into a fresh state.
 *
 * @returns where to go on; step 0 when there is no checkpoint
 * @throws RunError when the checkpoint belongs to another config or model
 */
export function resumePosition(
  folder: string,
  config: unknown,
  state: TrainState,
  note: (message: string) => void,
): Position {
  const path = latestCheckpoint(folder, (torn, reason) =>
    note(`checkpoint ${torn} is passed over: ${reason}`),
  );
  if (path === undefined) return { step: 0, seconds: 0 };
  const checkpoint = loadCheckpoint(path, config);
  try {
    const saved = savedSchema.safeParse(checkpoint.state);
    if (!saved.success)
      throw new RunError(
        `checkpoint ${path}: its state.json lacks the trainer's numbers. Use another one.`,
      );
    const { tensors } = checkpoint;
    const read = (name: string): Tensor | undefined =>
      tensors.names.includes(name)
        ? tensor(tensors.read(name), tensors.info(name).shape)
        : undefined;
    restoreState(state, read, saved.data);
    dropCheckpointsAfter(folder, checkpoint.step);
    return { step: checkpoint.step, seconds: saved.data.seconds };
  } finally {
    checkpoint.tensors.close();
  }
}
