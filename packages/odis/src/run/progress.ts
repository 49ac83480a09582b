import colors from "picocolors";
import { printable } from "../core/index.js";
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
  /** share of the time since it was asked last in which other programs had the cores that threads wanted, 0..1 */
  readonly coreWait?: () => number | undefined;
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
  private coreWait = 0;
  private askedCores = Number.NEGATIVE_INFINITY;

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
    this.stream.write(`${printable(message)}\n`);
  }

  /** Leaves the status line standing and the cursor below it. */
  end(): void {
    if (this.open) this.stream.write("\n");
    this.open = false;
  }

  private smooth(row: MetricsRow): void {
    if (row.time - this.askedCores >= askCoresEvery) {
      this.askedCores = row.time;
      this.coreWait = this.options.coreWait?.() ?? 0;
    }
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
    // The last column stays free: some terminals begin another line when it is written to.
    const columns = (this.stream.columns || 80) - 1;
    const { always, more } = this.parts(row);
    const needed = always.join(gap);
    const withBar = needed.length + barCells + 1 <= columns;
    const room = columns - (withBar ? barCells + 1 : 0);
    let line = "";
    for (const part of [...always, ...more]) {
      const longer = line === "" ? part : line + gap + part;
      if (longer.length > room) break;
      line = longer;
    }
    return withBar ? `${this.bar(row)} ${line}` : line;
  }

  private bar(row: MetricsRow): string {
    const filled = Math.round(((row.step + 1) / this.options.totalSteps) * barCells);
    return colors.cyan("█".repeat(filled)) + colors.dim("░".repeat(barCells - filled));
  }

  private line(row: MetricsRow): string {
    const { always, more } = this.parts(row);
    return [...always, ...more].join(gap);
  }

  /** What there is to say, the most important first. A terminal's bar gives way to none but `more`. */
  private parts(row: MetricsRow): { readonly always: string[]; readonly more: string[] } {
    const { totalSteps } = this.options;
    const measured = this.weight > 0;
    const rate = measured ? this.imagesPerStep / this.secondsPerStep : row.imagesPerSecond;
    const wait = measured ? this.dataWait : row.dataWait;
    const left = (totalSteps - row.step - 1) * this.secondsPerStep;
    const terms = (["cls", "object", "patch", "koleo"] as const)
      .filter((name) => row[name] !== 0)
      .map((name) => `${name} ${row[name].toFixed(3)}`);
    return {
      always: [
        `step ${row.step + 1}/${totalSteps}`,
        `loss ${row.loss.toFixed(3)}`,
        `${rate < 100 ? rate.toPrecision(3) : Math.round(rate)} images/s`,
        ...(measured ? [`${duration(left)} left`] : []),
      ],
      more: [
        ...(this.coreWait > coresAreTaken ? [`core wait ${percent(this.coreWait)}`] : []),
        `data wait ${percent(wait)}${wait > workersLag ? " (workers)" : ""}`,
        `epoch ${row.epoch}`,
        ...terms,
        `KL ${row.kl.toFixed(3)}`,
        `teacher entropy ${row.teacherEntropy.toFixed(2)}`,
        `absent ${percent(row.absent)}`,
        `tries ${row.tries.map((tries) => tries.toFixed(1)).join("/")}`,
      ],
    };
  }
}

const barCells = 16;
const gap = "  ";

/** Seconds: the kernel keeps the times of some dozens of threads. */
const askCoresEvery = 2;
/** Less is a machine's everyday. */
const coresAreTaken = 0.1;

/** With less the step is what takes the time: of the device, or of these cores. */
const workersLag = 0.2;

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
