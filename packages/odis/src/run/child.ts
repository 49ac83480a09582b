import { isMainThread } from "node:worker_threads";

/** What a child tells its parent, in one message or several; `Io.tell` sends from a command. */
export interface ChildReport {
  /** most memory that the process ever had, bytes */
  readonly peakBytes?: number;
  /** whether a training came to its end */
  readonly finished?: boolean;
  /** whether it has met the processes that it works with: they miss it from then on */
  readonly met?: boolean;
  /** whether it has said what went wrong */
  readonly told?: boolean;
}

/**
 * Loaded into every process that odis starts of itself, before odis (`node --import`): reports
 * the peak memory, and turns the death of the parent into the signal that makes a run save and end.
 */
if (isMainThread && process.send !== undefined) {
  process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel?.unref(); // the listener would keep the process alive
  // With the parent gone nobody reads; a run that saves its checkpoint must not fail over a line.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  process.on("exit", () => {
    const report: ChildReport = { peakBytes: 1024 * process.resourceUsage().maxRSS };
    if (process.connected) process.send?.(report);
  });
}
