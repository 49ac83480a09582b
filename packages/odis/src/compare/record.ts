import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { makeFolder, replaceText, RunError } from "../core/index.js";
import { evaluationFile } from "../evaluate/index.js";
import { runLayout } from "../run/index.js";
import type { PlannedRun } from "./runs.js";

const stageSchema = z.strictObject({
  /** the words after `odis` that were run */
  words: z.array(z.string()).readonly(),
  status: z.enum(["finished", "failed", "stopped"]),
  /** why it failed */
  message: z.string().optional(),
  /** of all its sessions together */
  seconds: z.number(),
  /** most memory of any session, bytes */
  peakBytes: z.number().optional(),
  /** when it ended, ISO 8601 */
  ended: z.string(),
});

const recordSchema = z.strictObject({
  version: z.literal(1),
  pretrain: stageSchema.optional(),
  evaluate: stageSchema.optional(),
});

/** How far training or evaluation of a run came. */
export type Stage = z.output<typeof stageSchema>;
export type StageName = "pretrain" | "evaluate";
/** What a comparison knows of one run besides its run folder. */
export type StageRecord = z.output<typeof recordSchema>;

/** Beside the run folders, because those belong to `odis pretrain`. */
export function recordFile(out: string, run: string): string {
  return join(out, "records", `${run}.json`);
}

/** @throws RunError when the file is damaged */
export function readRecord(out: string, run: string): StageRecord {
  const file = recordFile(out, run);
  if (!existsSync(file)) return { version: 1 };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    value = undefined;
  }
  const parsed = recordSchema.safeParse(value);
  if (!parsed.success)
    throw new RunError(
      `${file}: not a record of this release; delete it, and the run is looked at again.`,
    );
  return parsed.data;
}

export function writeRecord(out: string, run: string, record: StageRecord): void {
  const file = recordFile(out, run);
  makeFolder(dirname(file));
  replaceText(file, `${JSON.stringify(record, null, 1)}\n`);
}

/** Finished by this very command, and what it left is still there. */
export function isDone(run: PlannedRun, stage: StageName, record: StageRecord): boolean {
  const { status, words } = record[stage] ?? {};
  const left = stage === "pretrain" ? runLayout(run.folder).config : evaluationFile(run.folder);
  return status === "finished" && words?.join("\0") === run[stage].join("\0") && existsSync(left);
}
