import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { ChildReport } from "./child.js";

/** How a child process ended. */
export interface Ended {
  /** null when a signal ended it */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** the last lines of stderr */
  readonly complaint: readonly string[];
  /** most memory that it ever had, bytes; undefined when it was killed */
  readonly peakBytes: number | undefined;
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

const companion = new URL("./child.js", import.meta.url).href;
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
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const { stdout: out, stderr: err } = child;
  if (!out || !err) throw new Error("internal: a child without pipes");
  let stdout = "";
  let complaint: readonly string[] = [];
  let peakBytes: number | undefined;
  out.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  createInterface({ input: err }).on("line", (line) => {
    if (line.trim() === "") return;
    complaint = [...complaint, line].slice(-keptLines);
    onLine(line);
  });
  child.on("message", (report: ChildReport) => {
    ({ peakBytes } = report);
  });
  onStart(child);
  const { code, signal } = await new Promise<Pick<Ended, "code" | "signal">>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
  const seconds = (performance.now() - began) / 1000;
  return { code, signal, stdout, complaint, peakBytes, seconds };
}
