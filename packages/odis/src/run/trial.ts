import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exitCodes, OdisError, readOwnText, RunError } from "../core/index.js";
import { runLayout } from "./folder.js";
import { runProcesses } from "./processes.js";

/** Steps of a trial; the first ones set up threads and memory, and say little about the others. */
const trial = { steps: 60, warming: 10 } as const;

/**
 * How fast this machine trains by a command line: its own processes do so for some steps, in a folder
 * that is thrown away.
 *
 * @param words `odis pretrain` from the program's file on, without `--out` and `--steps`
 * @returns steps a second, waiting for data included
 * @throws OdisError with the first of what they said when they failed, and their exit code
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
    if (code !== exitCodes.ok) throw new OdisError(reason(said.join("")), code);
    return stepsASecond(folder);
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

function stepsASecond(folder: string): number {
  const rows = (readOwnText(runLayout(folder).metrics) ?? "").trim().split("\n");
  const times = rows.map((row) => (JSON.parse(row) as { readonly time: number }).time);
  const [from, to] = [times[trial.warming - 1], times.at(-1)];
  if (from === undefined || to === undefined || to <= from)
    throw new RunError(`the trial in ${folder} has told no times; wanted ${trial.steps} steps.`);
  return (times.length - trial.warming) / (to - from);
}
