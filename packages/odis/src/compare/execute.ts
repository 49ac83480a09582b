import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { exitCodes, lock, OdisError, RunError } from "../core/index.js";
import type { Overview } from "./overview.js";
import { isDone, readRecord, type Stage, type StageName, writeRecord } from "./record.js";
import type { PlannedRun } from "./runs.js";
import { createInterface } from "node:readline";
import { type ChildReport, companion } from "../run/index.js";

export interface ExecuteOptions {
  readonly out: string;
  /** the JavaScript file that is the command line */
  readonly program: string;
  /** asked between two processes */
  readonly stop: { requested(): Promise<boolean> };
  /** gets each child as it starts, to pass signals on to it, and undefined when it ended */
  readonly onChild: (child: ChildProcess | undefined) => void;
  readonly overview: Overview;
  /** after every run: the results so far can be shown */
  readonly onRun: () => void;
}

/**
 * Trains and evaluates every run, one after the other, each in processes of its own. What a record
 * says is finished is not done again; an interrupted training goes on from its checkpoint; a failed
 * run is recorded, and tried once more by the next call.
 *
 * @returns whether all was done; false when it was asked to stop
 * @throws OdisError when something is wrong that no other run would survive: data, engine, settings
 */
export async function executeRuns(
  runs: readonly PlannedRun[],
  options: ExecuteOptions,
): Promise<boolean> {
  const { overview, stop, onRun } = options;
  for (const [index, run] of runs.entries()) {
    const left = stages.filter((stage) => !isDone(run, stage, readRecord(options.out, run.name)));
    if (left.length === 0) continue;
    for (const stage of left) {
      if (await stop.requested()) return false;
      overview.begin(index, stage);
      await waitUntilFree(run, options);
      if (await stop.requested()) return false;
      const status = await executeStage(run, stage, options);
      if (status === "stopped") return false;
      if (status === "failed") break;
    }
    onRun();
  }
  return true;
}

const stages = ["pretrain", "evaluate"] as const satisfies readonly StageName[];

async function executeStage(
  run: PlannedRun,
  stage: StageName,
  { out, program, stop, onChild, overview }: ExecuteOptions,
): Promise<Stage["status"]> {
  const words = run[stage];
  const ended = await runChild({
    program,
    words,
    onLine: (line) => overview.line(line),
    onStart: onChild,
  });
  onChild(undefined);
  const { status, message } = judge(stage, ended, await stop.requested());
  const record = readRecord(out, run.name);
  const before = record[stage];
  const sameRun = before?.words.join("\0") === words.join("\0");
  const peaks = [ended.report.peakBytes, sameRun ? before.peakBytes : undefined].filter(
    (bytes) => bytes !== undefined,
  );
  const result: Stage = {
    words,
    status,
    ...(message === undefined ? {} : { message }),
    seconds: ended.seconds + (sameRun ? before.seconds : 0),
    ...(peaks.length === 0 ? {} : { peakBytes: Math.max(...peaks) }),
    ended: new Date().toISOString(),
  };
  // An evaluation of the weights as they were before says nothing about these.
  const kept = stage === "pretrain" && !sameRun ? { version: 1 as const } : record;
  writeRecord(out, run.name, { ...kept, [stage]: result });
  overview.end(result);
  return status;
}

/** Mistakes that every other run would make as well. */
const fatalCodes: readonly (number | null)[] = [exitCodes.usage, exitCodes.data, exitCodes.engine];

function judge(
  stage: StageName,
  { code, signal, report, complaint }: Ended,
  stopped: boolean,
): Pick<Stage, "status" | "message"> {
  // A training that was asked to stop ends well, but not at its end.
  const whole = code === exitCodes.ok && (stage === "evaluate" || report.finished === true);
  if (whole) return { status: "finished" };
  if (stopped) return { status: "stopped" };
  const said = complaint.filter((line) => line.startsWith(`odis ${stage}: `));
  const prefix = new RegExp(`^odis ${stage}: `);
  const reason = (said.length > 0 ? said : complaint.slice(-1)).map((line) =>
    line.replace(prefix, ""),
  );
  const message =
    signal === null
      ? reason.join("\n") || `ended with code ${code} and no message`
      : `ended by ${signal}${signal === "SIGKILL" ? " (out of memory?)" : ""}`;
  if (fatalCodes.includes(code))
    throw new OdisError(`odis ${stage}: ${message}`, code ?? exitCodes.internal);
  return { status: "failed", message };
}

const freeWithinSeconds = 120;

/**
 * A comparison that was killed leaves a child that still saves its checkpoint: two processes in one
 * run folder would be refused, so the new one waits.
 */
async function waitUntilFree(
  { folder }: PlannedRun,
  { stop, overview }: ExecuteOptions,
): Promise<void> {
  if (!existsSync(folder)) return;
  const since = performance.now();
  for (let tries = 0; ; tries += 1) {
    try {
      lock(join(folder, "lock"), `run folder ${folder}`)[Symbol.dispose]();
      return;
    } catch (error) {
      const waited = (performance.now() - since) / 1000;
      if (!(error instanceof RunError) || waited > freeWithinSeconds) throw error;
      if (tries === 0) overview.note(`waits: ${error.message}`);
    }
    await setTimeout(250);
    if (await stop.requested()) return;
  }
}

/** How a child process ended. */
export interface Ended {
  /** null when a signal ended it */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** all that it told; a killed one may have told nothing */
  readonly report: ChildReport;
  /** the last lines of stderr */
  readonly complaint: readonly string[];
  readonly seconds: number;
}

export interface SpawnOptions {
  /** the JavaScript file that is the command line */
  readonly program: string;
  readonly words: readonly string[];
  /** hears every line of stderr */
  readonly onLine: (line: string) => void;
  /** gets the running child, to pass signals on to it */
  readonly onStart: (child: ChildProcess) => void;
}

const keptLines = 20;

/**
 * Runs one odis command in a process of its own: its leaks, crashes and peak memory are its own.
 *
 * The child stays in the process group, so that a terminal's Ctrl-C and Ctrl-Z reach it as well; a
 * second SIGINT within a moment counts as the same (`run/stop.ts`).
 */
export async function runChild({ program, words, onLine, onStart }: SpawnOptions): Promise<Ended> {
  const began = performance.now();
  const child = spawn(process.execPath, ["--import", companion, program, ...words], {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const { stderr: err } = child;
  if (!err) throw new Error("internal: a child without a pipe");
  let complaint: readonly string[] = [];
  let report: ChildReport = {};
  createInterface({ input: err }).on("line", (line) => {
    if (line.trim() === "") return;
    complaint = [...complaint, line].slice(-keptLines);
    onLine(line);
  });
  child.on("message", (told: ChildReport) => {
    report = { ...report, ...told };
  });
  onStart(child);
  const { code, signal } = await new Promise<Pick<Ended, "code" | "signal">>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
  const seconds = (performance.now() - began) / 1000;
  return { code, signal, report, complaint, seconds };
}
