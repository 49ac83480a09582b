import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  openSafetensors,
  replaceFile,
  type SafetensorsFile,
  syncFolder,
  tensorBytes,
  type TensorEntry,
  writeSafetensors,
} from "@odis/torch";
import { z } from "zod";
import { RunError } from "../core/index.js";
import { configDifferences, describeDifferences, runLayout } from "./folder.js";

const version = 1;
const tensorsName = "tensors.safetensors";
const stateName = "state.json";
const namePattern = /^step-(\d{8,})$/;

const stateSchema = z.strictObject({
  version: z.literal(version),
  /** steps that were done */
  step: z.int().min(0),
  /** the run's resolved configuration */
  config: z.unknown(),
  /** what the trainer needs besides tensors */
  state: z.unknown(),
  tensors: z.strictObject({ bytes: z.int(), sha256: z.string() }),
});

/** What a checkpoint holds. */
export interface CheckpointContent {
  /** steps that were done */
  readonly step: number;
  /** the run's resolved configuration, so that a checkpoint can be read without its run */
  readonly config: unknown;
  /** plain JSON: counters, states of random streams, positions */
  readonly state: unknown;
}

/** A checkpoint that was read and found whole. Close `tensors` when done. */
export interface Checkpoint extends CheckpointContent {
  readonly path: string;
  readonly tensors: SafetensorsFile;
}

/**
 * Writes `step-<step>` into the folder of checkpoints, then deletes all but the newest `keep`.
 *
 * The new one appears whole or not at all, and nothing is deleted before it stands. A checkpoint
 * of the same step that is whole already stays as it is.
 *
 * @param tensors asked for one at a time
 * @param keep at least 1
 * @returns path of the checkpoint
 * @throws RunError when the disk is full or refuses; older checkpoints are untouched then
 */
export function saveCheckpoint(
  folder: string,
  content: CheckpointContent,
  tensors: readonly TensorEntry[],
  keep: number,
): string {
  const path = join(folder, `step-${String(content.step).padStart(8, "0")}`);
  const beside = join(folder, `.step-${content.step}.tmp`);
  try {
    mkdirSync(folder, { recursive: true });
    removeLeftovers(folder);
    checkSpace(folder, tensors);
    mkdirSync(beside);
    const written = writeSafetensors(join(beside, tensorsName), tensors);
    const state: z.input<typeof stateSchema> = { version, ...content, tensors: written };
    replaceFile(join(beside, stateName), (descriptor) =>
      writeFileSync(descriptor, `${JSON.stringify(state, null, 2)}\n`),
    );
    syncFolder(beside);
    if (existsSync(path)) {
      if (problemOf(path) === undefined) rmSync(beside, { recursive: true });
      else rmSync(path, { recursive: true }); // torn: worth nothing
    }
    if (existsSync(beside)) renameSync(beside, path);
    syncFolder(folder);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    throw refusal(folder, content.step, tensors, error);
  }
  // A later step is a torn one, or of a history that this run has left.
  dropCheckpointsAfter(folder, content.step);
  for (const { path: old } of listCheckpoints(folder).slice(Math.max(1, keep))) remove(old);
  return path;
}

/** Checkpoints of a folder by name, newest first; they may be torn. */
export function listCheckpoints(folder: string): readonly { step: number; path: string }[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const step = namePattern.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path: join(folder, name) }];
    })
    .toSorted((a, b) => b.step - a.step);
}

/**
 * The newest whole checkpoint of a folder, or undefined when there is none.
 *
 * @param onSkip hears of every newer one that is torn, and why
 */
export function latestCheckpoint(
  folder: string,
  onSkip: (path: string, reason: string) => void,
): string | undefined {
  for (const { path } of listCheckpoints(folder)) {
    const problem = problemOf(path);
    if (problem === undefined) return path;
    onSkip(path, problem);
  }
  return undefined;
}

/** Deletes checkpoints of later steps: a run that goes back to an older one does them again. */
export function dropCheckpointsAfter(folder: string, step: number): void {
  removeLeftovers(folder);
  for (const checkpoint of listCheckpoints(folder))
    if (checkpoint.step > step) remove(checkpoint.path);
}

/**
 * Opens a checkpoint after checking every byte of it.
 *
 * @param config when given, the checkpoint must have been made with exactly this configuration
 * @throws RunError when it is missing, torn, of another version, or of another configuration
 */
export function loadCheckpoint(path: string, config?: unknown): Checkpoint {
  const problem = problemOf(path);
  if (problem !== undefined)
    throw new RunError(
      `checkpoint ${path}: ${problem}. Use another checkpoint of the run; this one cannot be mended.`,
    );
  const content = readState(path);
  if (config !== undefined) {
    const found = configDifferences(content.config, config);
    if (found.length > 0)
      throw new RunError(
        `checkpoint ${path}: made with another config: ${describeDifferences(found)}. ` +
          `Give the same settings, or begin a new run.`,
      );
  }
  return { ...content, path, tensors: openSafetensors(join(path, tensorsName)) };
}

/** Why a checkpoint cannot be used, or undefined when it is whole. */
function problemOf(path: string): string | undefined {
  try {
    const { tensors } = readState(path);
    const file = join(path, tensorsName);
    if (!existsSync(file)) return `torn: ${tensorsName} is missing`;
    const { size } = statSync(file);
    if (size !== tensors.bytes) return `torn: ${tensorsName} has ${size} of ${tensors.bytes} bytes`;
    if (sha256(file) !== tensors.sha256)
      return `torn: ${tensorsName} is not what was written (its SHA-256 differs)`;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "unknown";
  }
}

function readState(path: string): z.output<typeof stateSchema> {
  if (!existsSync(path)) throw new Error("does not exist");
  const file = join(path, stateName);
  if (!existsSync(file))
    throw new Error(
      existsSync(join(path, tensorsName))
        ? `torn: ${stateName} is missing`
        : `not a checkpoint: it has no ${stateName}`,
    );
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`torn: ${stateName} is not JSON`, { cause: error });
  }
  const found = z.looseObject({ version: z.number() }).safeParse(value);
  if (found.success && found.data.version !== version)
    throw new Error(
      `written by another release: version ${found.data.version}, this one reads ${version}`,
    );
  const state = stateSchema.safeParse(value);
  if (!state.success) throw new Error(`not a checkpoint: ${stateName} lacks what one needs`);
  return state.data;
}

/** Of a whole file, hexadecimal. */
export function sha256(path: string): string {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(1 << 22);
  const descriptor = openSync(path, "r");
  try {
    for (let got = 1; got > 0; ) {
      got = readSync(descriptor, piece);
      hash.update(piece.subarray(0, got));
    }
  } finally {
    closeSync(descriptor);
  }
  return hash.digest("hex");
}

/** Hidden first: half a deleted checkpoint must not look like one. */
function remove(path: string): void {
  const hidden = path.replace(/step-(\d+)$/, ".step-$1.old");
  renameSync(path, hidden);
  rmSync(hidden, { recursive: true });
}

/** What a killed process left: halves of checkpoints. Only the run's owner comes here. */
function removeLeftovers(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder))
    if (/^\.step-\d+\.(tmp|old)$/.test(name)) rmSync(join(folder, name), { recursive: true });
}

const headroom = 1 << 20; // header, state.json, the file system's own blocks

function neededBytes(tensors: readonly TensorEntry[]): number {
  return headroom + tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

class DiskFull extends Error {}

function checkSpace(folder: string, tensors: readonly TensorEntry[]): void {
  if (freeBytes(folder) < neededBytes(tensors)) throw new DiskFull();
}

function refusal(
  folder: string,
  step: number,
  tensors: readonly TensorEntry[],
  error: unknown,
): unknown {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === undefined && !(cause instanceof DiskFull)) return error; // not the disk's fault
  const previous = listCheckpoints(folder)[0]?.path;
  const stands = previous === undefined ? "there is no earlier checkpoint" : `${previous} stands`;
  const reason =
    cause instanceof DiskFull || code === "ENOSPC" || code === "EDQUOT"
      ? `disk full: it needs ${megabytes(neededBytes(tensors))}, free are ${megabytes(freeBytes(folder))} ` +
        `in ${folder}; ${stands}. Make room, then resume.`
      : `cannot be written (${cause instanceof Error ? cause.message : "unknown"}); ${stands}.`;
  return new RunError(`checkpoint of step ${step}: ${reason}`, { cause: error });
}

/**
 * The checkpoint that a path means: itself, or a run's newest whole one.
 *
 * @throws RunError when the path is neither a checkpoint nor a run folder with a whole one
 */
export function checkpointOf(path: string): string {
  if (!existsSync(path) || !statSync(path).isDirectory())
    throw new RunError(
      `${path}: ${existsSync(path) ? "is a file" : "does not exist"}. Wanted a run folder, or one ` +
        `of the folders in its checkpoints/.`,
    );
  if (!existsSync(runLayout(path).config)) return path; // loadCheckpoint says what is wrong with it
  const torn: string[] = [];
  const latest = latestCheckpoint(runLayout(path).checkpoints, (place, reason) =>
    torn.push(`${place}: ${reason}`),
  );
  if (latest === undefined)
    throw new RunError(
      `${path}: no usable checkpoint (${torn.length > 0 ? torn.join("; ") : "none was written yet"}). ` +
        `Go on with the run until it saves one, or give another run folder.`,
    );
  return latest;
}
