import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { isRecord } from "../core/index.js";
import { duration, type ProgressStream, runLayout } from "../run/index.js";
import { isDone, readRecord, type Stage, type StageName } from "./record.js";
import type { PlannedRun } from "./runs.js";

/** Seconds between two lines about the same process where lines are not rewritten. */
const everySeconds = 60;

/** Says which run of how many is at work, what it says itself, and how long all of it takes yet. */
export class Overview {
  private current = 0;
  private stage: StageName = "pretrain";
  private began = 0;
  private lastLine = Number.NEGATIVE_INFINITY;
  private open = false;

  constructor(
    private readonly runs: readonly PlannedRun[],
    private readonly out: string,
    private readonly stream: ProgressStream,
  ) {}

  begin(index: number, stage: StageName): void {
    this.current = index;
    this.stage = stage;
    this.began = performance.now();
    this.lastLine = Number.NEGATIVE_INFINITY;
    this.line(stage === "pretrain" ? "trains" : "evaluates");
    this.lastLine = Number.NEGATIVE_INFINITY; // the process's own first line says more
  }

  /** A line of the process at work. */
  line(text: string): void {
    const { row, seed } = this.runs[this.current]!;
    const left = this.secondsLeft();
    const all = left === undefined ? "" : `${duration(left)} left in all · `;
    const line = `[${this.current + 1}/${this.runs.length}] ${row} seed ${seed} · ${all}${text}`;
    if (this.stream.isTTY === true) {
      this.stream.write(`\r${line.slice(0, (this.stream.columns ?? 80) - 1)}\u001b[K`);
      this.open = true;
      return;
    }
    // What is said once is passed on; only what is said of step after step, or image after image, is thinned.
    const now = performance.now() / 1000;
    if (/^step \d|: [\d,]+ of [\d,]+ images?/.test(text)) {
      if (now - this.lastLine < everySeconds) return;
      this.lastLine = now;
    }
    this.stream.write(`${line}\n`);
  }

  /** The process ended. */
  end({ status, message, seconds }: Stage): void {
    const { row, seed } = this.runs[this.current]!;
    const what = this.stage === "pretrain" ? "training" : "evaluation";
    const why = message === undefined ? "" : `: ${message}`;
    this.note(
      `[${this.current + 1}/${this.runs.length}] ${row} seed ${seed} · ${what} ${status} after ${duration(seconds)}${why}`,
    );
  }

  /** A line that stays. */
  note(text: string): void {
    if (this.open) this.stream.write("\r\u001b[K");
    this.open = false;
    this.stream.write(`${text}\n`);
  }

  /** From what finished runs took; before there is one, from the steps of the first. */
  private secondsLeft(): number | undefined {
    const spent = (run: PlannedRun): number => {
      const { pretrain, evaluate } = readRecord(this.out, run.name);
      return (pretrain?.seconds ?? 0) + (evaluate?.seconds ?? 0);
    };
    const done = this.runs.map((run) => isDone(run, "evaluate", readRecord(this.out, run.name)));
    const finished = this.runs.filter((_, index) => done[index]);
    const run = this.runs[this.current]!;
    const now = spent(run) + (performance.now() - this.began) / 1000;
    const each =
      finished.length > 0
        ? finished.reduce((sum, other) => sum + spent(other), 0) / finished.length
        : trainingSeconds(run);
    if (each === undefined) return undefined;
    const waiting = this.runs.filter((_, index) => !done[index] && index > this.current).length;
    return waiting * each + Math.max(0, each - now);
  }
}

/** What a whole training will have taken, by the newest row of its metrics. */
function trainingSeconds({ folder, recipe }: PlannedRun): number | undefined {
  const { steps } = recipe.optim;
  const row = lastRow(runLayout(folder).metrics);
  return row === undefined || steps === undefined ? undefined : (row.time / (row.step + 1)) * steps;
}

/** Bytes at the end of the metrics in which the newest row is looked for: many times a row. */
const tailBytes = 65_536;

function lastRow(path: string): { readonly step: number; readonly time: number } | undefined {
  if (!existsSync(path)) return undefined;
  const descriptor = openSync(path, "r");
  try {
    const { size } = fstatSync(descriptor);
    const tail = Buffer.alloc(Math.min(size, tailBytes));
    readSync(descriptor, tail, 0, tail.length, size - tail.length);
    // The first line may be cut off, and the last one half written.
    const lines = tail.toString("utf8").split("\n").toReversed();
    return lines.map(rowOf).find((row) => row !== undefined);
  } finally {
    closeSync(descriptor);
  }
}

function rowOf(line: string): { readonly step: number; readonly time: number } | undefined {
  try {
    const row: unknown = JSON.parse(line);
    if (!isRecord(row)) return undefined;
    const { step, time } = row;
    return typeof step === "number" && typeof time === "number" ? { step, time } : undefined;
  } catch {
    return undefined;
  }
}
