import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { odisProgram } from "../cli/odis.js";
import { freePort } from "../train/processes.js";

/** A real `odis` that trains, and what it says. */
export interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
  /** exit code and signal */
  readonly ended: Promise<readonly unknown[]>;
}

/** @param within a command that starts it, such as `ip netns exec NAME` */
export function launch(
  words: readonly string[],
  env: NodeJS.ProcessEnv = {},
  within: readonly string[] = [],
): Running {
  const [program, ...rest] = [...within, process.execPath, odisProgram, ...words];
  const child = spawn(program!, rest, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      said += String(text);
    });
  return { child, said: () => said, ended: once(child, "close") };
}

/** What torchrun tells a process of itself. */
export const variables = (rank: number, size: number, port: number): NodeJS.ProcessEnv => ({
  RANK: `${rank}`,
  WORLD_SIZE: `${size}`,
  LOCAL_RANK: `${rank}`,
  MASTER_ADDR: "127.0.0.1",
  MASTER_PORT: `${port}`,
});

/** The same line in processes that know of each other by torchrun's variables only. */
export async function launchRanks(
  size: number,
  words: readonly string[],
): Promise<readonly Running[]> {
  const port = await freePort();
  return Array.from({ length: size }, (_, rank) => launch(words, variables(rank, size, port)));
}

/** Until a process has said a text, or has ended. */
export async function says({ child, said, ended }: Running, text: string): Promise<void> {
  while (!said().includes(text) && child.exitCode === null && child.signalCode === null)
    await Promise.race([once(child.stderr!, "data"), once(child.stdout!, "data"), ended]);
}

export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text.split(" ").filter(Boolean).map(Number);
}

/** What a run has come to. */
export interface Result {
  /** SHA-256 of every tensor of the newest checkpoint */
  readonly bits: string;
  readonly checkpoint: string;
  /** of every step; without what clocks decide */
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

/** What differs from run to run. */
const clocked = new Set(["time", "imagesPerSecond", "dataWait"]);

export function resultOf(run: string): Result {
  const folder = join(run, "checkpoints");
  const checkpoint = readdirSync(folder).toSorted().at(-1)!;
  const state = JSON.parse(readFileSync(join(folder, checkpoint, "state.json"), "utf8")) as {
    tensors: { sha256: string };
  };
  const rows = readFileSync(join(run, "metrics.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => {
      const row = JSON.parse(line) as Record<string, unknown>;
      return Object.fromEntries(Object.entries(row).filter(([name]) => !clocked.has(name)));
    });
  return { bits: state.tensors.sha256, checkpoint, rows };
}
