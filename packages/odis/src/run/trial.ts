import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exitCodes, isRecord, OdisError, readJsonLines, RunError } from "../core/index.js";
import { runLayout } from "./folder.js";
import { runProcesses } from "./processes.js";

/** Steps of a trial; the first ones set up threads and memory, and say little about the others. */
const trial = { steps: 100, warming: 20 } as const;

/**
 * How fast this machine trains by a command line: its own processes do so for some steps, in a folder
 * that is thrown away.
 *
 * @param words `odis pretrain` from the program's file on, without `--out` and `--steps`
 * @returns steps a second, waiting for data included
 * @throws OdisError with the first of what they said when they failed or were stopped, and their exit code
 */
export async function trialSpeed(words: readonly string[], processes: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "odis-trial-"));
  const said: string[] = [];
  try {
    const code = await runProcesses({
      count: processes,
      words: [...words, "--out", folder, "--steps", `${trial.steps}`],
      hear: (text) => said.push(text),
      stands: () => undefined,
      tell: () => undefined,
    });
    if (code >= exitCodes.hungUp)
      throw new OdisError("stopped while the speed was measured; nothing was begun yet.", code);
    if (code !== exitCodes.ok) throw new OdisError(reason(said.join("")), code);
    return stepsASecond(runLayout(folder).metrics);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of all that processes printed, what went wrong. */
function reason(said: string): string {
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  const told = lines.filter((line) => line.startsWith("odis pretrain: "));
  return (told[0] ?? lines.at(-1) ?? "ended without a word").replace(/^odis pretrain: /, "");
}

function stepsASecond(metrics: string): number {
  const times = readJsonLines(metrics, (row) =>
    isRecord(row) && typeof row["time"] === "number" ? row["time"] : undefined,
  );
  const [from, to] = [times[trial.warming - 1], times.at(-1)];
  if (from === undefined || to === undefined || to <= from)
    throw new RunError(
      `the speed could not be measured: a trial of ${trial.steps} steps told the times of ${times.length}.`,
    );
  return (times.length - trial.warming) / (to - from);
}
