import colors from "picocolors";
import type { MetricsRow } from "../train/index.js";

/** Where progress goes; `process.stderr` is one. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressOptions {
  readonly totalSteps: number;
  /** seconds of training between two lines when the stream is not a terminal */
  readonly everySeconds?: number;
}

/**
 * Says what a run does: on a terminal one line that is rewritten, elsewhere a plain line now and
 * then. Rates are smoothed over about twenty steps. Time is taken from the rows, not from a clock.
 */
export class Progress {
  private readonly rewrites: boolean;
  private open = false; // whether a rewritten line stands on the terminal
  private previous: MetricsRow | undefined;
  private secondsPerStep = 0;
  private dataWait = 0;
  private imagesPerStep = 0;
  private weight = 0;
  private lastLine = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly stream: ProgressStream,
    private readonly options: ProgressOptions,
  ) {
    this.rewrites = stream.isTTY === true;
  }

  /** Shows a finished step. */
  step(row: MetricsRow): void {
    this.smooth(row);
    const last = row.step + 1 >= this.options.totalSteps;
    if (this.rewrites) {
      this.open = true;
      this.stream.write(`\r${this.status(row)}\u001b[K`);
      if (last) this.end();
    } else if (last || row.time - this.lastLine >= (this.options.everySeconds ?? 10)) {
      this.lastLine = row.time;
      this.stream.write(`${this.line(row)}\n`);
    }
  }

  /** Prints a line of its own, above the status line. */
  note(message: string): void {
    if (this.open) this.stream.write("\r\u001b[K");
    this.open = false;
    this.stream.write(`${message}\n`);
  }

  /** Leaves the status line standing and the cursor below it. */
  end(): void {
    if (this.open) this.stream.write("\n");
    this.open = false;
  }

  private smooth(row: MetricsRow): void {
    // The first step of a session sets up threads and memory; it says little about the others.
    const before = this.previous;
    this.previous = row;
    if (!before) return;
    const seconds = row.time - before.time;
    if (this.weight === 0) this.secondsPerStep = seconds;
    this.weight = Math.min(this.weight + 1, 20);
    this.secondsPerStep += (seconds - this.secondsPerStep) / this.weight;
    this.dataWait += (row.dataWait - this.dataWait) / this.weight;
    this.imagesPerStep += (row.imagesPerSecond * seconds - this.imagesPerStep) / this.weight;
  }

  private status(row: MetricsRow): string {
    const done = (row.step + 1) / this.options.totalSteps;
    const filled = Math.round(done * barCells);
    const bar = colors.cyan("█".repeat(filled)) + colors.dim("░".repeat(barCells - filled));
    const width = (this.stream.columns || 80) - barCells - 2;
    return `${bar} ${this.line(row).slice(0, Math.max(0, width))}`;
  }

  private line(row: MetricsRow): string {
    const { totalSteps } = this.options;
    const measured = this.weight > 0;
    const rate = measured ? this.imagesPerStep / this.secondsPerStep : row.imagesPerSecond;
    const wait = measured ? this.dataWait : row.dataWait;
    const left = measured ? (totalSteps - row.step - 1) * this.secondsPerStep : undefined;
    const terms = (["cls", "object", "patch", "koleo"] as const)
      .filter((name) => row[name] !== 0)
      .map((name) => `${name} ${row[name].toFixed(3)}`);
    return [
      `step ${row.step + 1}/${totalSteps}`,
      `epoch ${row.epoch}`,
      `loss ${row.loss.toFixed(3)} (${terms.join(" ")})`,
      `${rate.toPrecision(3)} images/s`,
      `data wait ${percent(wait)}`,
      left === undefined ? undefined : `${duration(left)} left`,
      `teacher entropy ${row.teacherEntropy.toFixed(2)}`,
      `KL ${row.kl.toFixed(3)}`,
      `absent ${percent(row.absent)}`,
      `tries ${row.tries.map((tries) => tries.toFixed(1)).join("/")}`,
    ]
      .filter((part) => part !== undefined)
      .join("  ");
  }
}

const barCells = 16;

const percent = (share: number): string => `${Math.round(100 * share)} %`;

/** @param seconds e.g. 3725 -> "1 h 2 min", 65 -> "1 min 5 s" */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours, minutes] = [
    Math.floor(whole / 86400),
    Math.floor(whole / 3600),
    Math.floor(whole / 60),
  ];
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}
