import { setImmediate } from "node:timers/promises";
import { exitCodes } from "../core/index.js";

export type StopSignal = "SIGINT" | "SIGTERM";

/**
 * Turns Ctrl-C and SIGTERM into a wish that the loop grants between two steps. Only one more
 * Ctrl-C ends the process at once.
 */
export class Stop implements Disposable {
  private received: StopSignal | undefined;
  private receivedAt = 0;
  private readonly onInterrupt = (): void => this.receive("SIGINT");
  private readonly onTerminate = (): void => this.receive("SIGTERM");

  /** @param announce called once, when the wish arrives */
  constructor(private readonly announce: (signal: StopSignal) => void) {
    process.on("SIGINT", this.onInterrupt);
    process.on("SIGTERM", this.onTerminate);
  }

  /** The signal that asked to stop. */
  get signal(): StopSignal | undefined {
    return this.received;
  }

  /**
   * Whether to stop now. Waits one turn of the event loop: a loop that only awaits values which
   * are there already would never let a signal in.
   */
  async requested(): Promise<boolean> {
    await setImmediate();
    return this.received !== undefined;
  }

  [Symbol.dispose](): void {
    process.off("SIGINT", this.onInterrupt);
    process.off("SIGTERM", this.onTerminate);
  }

  private receive(signal: StopSignal): void {
    const now = performance.now();
    if (this.received === undefined) {
      this.received = signal;
      this.receivedAt = now;
      this.announce(signal);
    } else if (signal === "SIGINT" && now - this.receivedAt > samePressMs) {
      process.exit(exitCodes.stopped);
    }
  }
}

/** A terminal signals the whole process group and npm passes its signal on: one key press, twice. */
const samePressMs = 200;
