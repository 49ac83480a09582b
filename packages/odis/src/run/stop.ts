import { setImmediate as later } from "node:timers";
import { setImmediate } from "node:timers/promises";
import { listenWhileWaiting } from "@odis/torch";
import { exitCodes } from "../core/index.js";

/** What asks a run to end. SIGPIPE stands for output that nobody reads any more. */
export type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE";

/** As shells count: 128 and the signal's number. */
const codes = {
  SIGINT: exitCodes.stopped,
  SIGTERM: exitCodes.terminated,
  SIGHUP: exitCodes.hungUp,
  SIGPIPE: exitCodes.unheard,
} as const satisfies Record<StopSignal, number>;

/** What a process ends with that a signal asked to; undefined for others, which ask nothing. */
export const exitCodeOf = (signal: NodeJS.Signals | null): number | undefined =>
  signal === null ? undefined : codes[signal as StopSignal];

/** What a run asks of it, or of something simpler: whether to end after a step. */
export type StopWish = Pick<Stop, "requested"> &
  Partial<Pick<Stop, "asked" | "hold" | "abandon" | "signal">>;

/**
 * Turns Ctrl-C, SIGTERM, a closed terminal and a closed pipe into a wish that is granted between two
 * steps. One more Ctrl-C ends the process at once; so does any signal while nothing is held that could
 * be lost: nobody listens then. A process that waits inside the engine for others hears them, too.
 */
export class Stop implements Disposable {
  private received: StopSignal | undefined;
  private receivedAt = 0;
  private holds = 0;
  private isAbandoned = false;
  private wake: () => void = () => undefined;
  private readonly listeners = new Map(
    (["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) => [
      signal,
      () => this.receive(signal),
    ]),
  );

  /** Resolves when the wish arrives. */
  readonly asked = new Promise<void>((resolve) => {
    this.wake = resolve;
  });

  /** @param announce called once, when the wish arrives */
  constructor(private readonly announce: (signal: StopSignal) => void) {
    for (const stream of [process.stdout, process.stderr]) stream.on("error", this.onClosed);
  }

  /** The signal that asked to stop. */
  get signal(): StopSignal | undefined {
    return this.received;
  }

  /** What the process should end with when it was asked to stop. */
  get exitCode(): number {
    return this.received ? codes[this.received] : exitCodes.ok;
  }

  /** While this is held, a signal is a wish. */
  hold(): Disposable {
    for (const [signal, listener] of this.listeners)
      if (!process.listeners(signal).includes(listener)) process.on(signal, listener);
    const waiting = listenWhileWaiting({
      onSignal: (signal) => this.receive(signal as StopSignal),
    });
    this.holds += 1;
    return {
      [Symbol.dispose]: () => {
        waiting[Symbol.dispose]();
        this.holds -= 1;
        this.listenNoMore();
      },
    };
  }

  /**
   * Whether to stop now. Waits one turn of the event loop: a loop that only awaits values which
   * are there already would never let a signal in.
   */
  async requested(): Promise<boolean> {
    await setImmediate();
    return this.received !== undefined;
  }

  /** Says that threads are left which do not end: the process then ends by the signal itself. */
  abandon(): void {
    this.isAbandoned = true;
  }

  [Symbol.dispose](): void {
    this.listenNoMore();
    for (const stream of [process.stdout, process.stderr]) stream.off("error", this.onClosed);
    if (this.isAbandoned && this.received) endBy(this.received);
  }

  /** A pipe without a reader, or a terminal that was closed. */
  private readonly onClosed = (error: NodeJS.ErrnoException): void => {
    if (error.code === "EPIPE" || error.code === "EIO") this.receive("SIGPIPE");
  };

  /**
   * Unless something is held. A signal that came while nothing else could run is heard when the system is next
   * asked for news, which the first of two turns may be too early for; nobody hears it once the last listener
   * has gone, whoever comes then.
   */
  private listenNoMore(): void {
    later(() =>
      later(() => {
        if (this.holds > 0) return;
        for (const [signal, listener] of this.listeners) process.off(signal, listener);
      }),
    );
  }

  private receive(signal: StopSignal): void {
    const now = performance.now();
    if (this.holds === 0 && signal !== "SIGPIPE") endBy(signal);
    else if (this.received === undefined) {
      this.received = signal;
      this.receivedAt = now;
      this.announce(signal);
      this.wake();
    } else if (signal === "SIGINT" && now - this.receivedAt > samePressMs) endBy(signal);
  }
}

/**
 * Ends the process as if nobody had listened. `process.exit` would wait for threads, and one that
 * reads from a drive which does not answer never ends.
 */
function endBy(signal: StopSignal): void {
  const ending = signal === "SIGPIPE" ? "SIGTERM" : signal; // Node ignores the former
  process.removeAllListeners(ending);
  process.kill(process.pid, ending);
}

/** A terminal signals the whole process group and npm passes its signal on: one key press, twice. */
const samePressMs = 200;
