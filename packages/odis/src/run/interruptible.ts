import { setTimeout } from "node:timers/promises";
import { ToldElsewhere } from "../core/index.js";
import type { Loader } from "../batches/index.js";
import type { BatchStream } from "../train/index.js";
import type { StopWish } from "./stop.js";

/** Somebody asked to stop while a batch was waited for. */
class Interruption extends Error {
  override readonly name = "Interruption";
}

/** Whether somebody asked, here or in a process that trains with this one. */
export const isInterruption = (error: unknown): boolean =>
  error instanceof Interruption ||
  (error instanceof ToldElsewhere && error.what === "Interruption");

/** Batches until somebody asks to stop: pictures may lie on a drive that does not answer. */
export class Interruptible implements BatchStream {
  private interrupt: (() => void) | undefined;
  private isAsked = false;

  constructor(
    private readonly batches: BatchStream,
    asked: Promise<void>,
  ) {
    void asked.then(() => {
      this.isAsked = true;
      this.interrupt?.();
    });
  }

  async next(): ReturnType<BatchStream["next"]> {
    if (this.isAsked) throw new Interruption();
    return new Promise((resolve, reject) => {
      this.interrupt = () => reject(new Interruption());
      this.batches.next().then(resolve, reject);
    });
  }
}

/** Workers that hang in a read must not keep a run that was asked to stop. */
export async function closeInTime(loader: Loader, stop: StopWish | undefined): Promise<void> {
  const closing = loader.close().then(() => true);
  if (stop?.signal === undefined) {
    await closing;
    return;
  }
  const closed = await Promise.race([closing, setTimeout(patienceMs, false, { ref: false })]);
  if (!closed) stop.abandon?.();
}

/** Longer than the loader's own. */
const patienceMs = 7000;
