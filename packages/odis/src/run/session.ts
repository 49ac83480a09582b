import { type Tensor, tensor } from "@odis/torch";
import { z } from "zod";
import { RunError } from "../core/index.js";
import { type ForOthers, restoreState, type SavedState, type TrainState } from "../train/index.js";
import { type Checkpoint, loadLatestCheckpoint } from "./checkpoint.js";
import { allFinite, dropCheckpointsAfter, saveCheckpoint } from "./save.js";

/** Where a run stands: what a checkpoint adds to the trainer's tensors. */
export interface Position {
  /** steps that were done; the next step, counted from 0 */
  readonly step: number;
  /** seconds of training so far */
  readonly seconds: number;
}

/** Where it goes on. */
export interface Resumed extends Position {
  readonly others: ForOthers | undefined;
}

const savedSchema = z.object({
  seconds: z.number().min(0),
  optimizerUpdates: z.record(z.string(), z.int().min(0)),
});

/**
 * Saves the whole state. The order of images and their views need no state of their own: they
 * follow from the seed and the step (`batches/order.ts`).
 */
export function savePosition(
  folder: string,
  config: unknown,
  { tensors, numbers }: SavedState,
  { step, seconds }: Position,
  keep: number,
): string {
  return saveCheckpoint(folder, { step, config, state: { seconds, ...numbers } }, tensors, keep);
}

/**
 * Puts the newest whole checkpoint of a run into a fresh state.
 *
 * @returns where to go on; step 0 when there is no checkpoint
 * @throws RunError when it belongs to another config, model or release, or cannot be read; nothing
 *   in the folder was changed then
 */
export function resumePosition(
  folder: string,
  config: unknown,
  state: TrainState,
  note: (message: string) => void,
): Resumed {
  const skip = (torn: string, reason: string): void =>
    note(`checkpoint ${torn} is passed over: ${reason}`);
  const checkpoint = loadLatestCheckpoint(folder, skip, config);
  if (!checkpoint) return { step: 0, seconds: 0, others: undefined };
  try {
    const saved = savedSchema.safeParse(checkpoint.state);
    if (!saved.success)
      throw new RunError(
        `checkpoint ${checkpoint.path}: its state.json lacks the trainer's numbers. Restore it from ` +
          `a copy, or delete this checkpoint to go on from an older one.`,
      );
    const others = restore(checkpoint, state, saved.data);
    dropCheckpointsAfter(folder, checkpoint.step);
    return { step: checkpoint.step, seconds: saved.data.seconds, others };
  } finally {
    checkpoint.tensors.close();
  }
}

function restore(
  { path, tensors }: Checkpoint,
  state: TrainState,
  saved: z.infer<typeof savedSchema>,
): ForOthers {
  const read = (name: string): Tensor | undefined => {
    if (!tensors.has(name)) return undefined;
    const values = tensors.read(name);
    if (!allFinite(values))
      throw new RunError(
        `checkpoint ${path}: ${name} holds values that are not finite, so every step from there ` +
          `would. Delete this checkpoint to go on from an older one, or begin another run.`,
      );
    return tensor(values, tensors.info(name).shape);
  };
  return restoreState(state, read, saved);
}
