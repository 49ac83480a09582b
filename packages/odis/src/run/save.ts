import { mkdirSync, readdirSync, renameSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { tensorBytes, type TensorEntry, type TypedArray, writeSafetensors } from "@odis/torch";
import {
  causeOf,
  codeOf,
  isSystemError,
  makeFolder,
  replaceText,
  RunError,
  statOf,
  syncFolder,
} from "../core/index.js";
import {
  type CheckpointContent,
  checkpointPath,
  isWhole,
  listCheckpoints,
  type StateFile,
  tensorsName,
  version,
} from "./checkpoint.js";
import { stateName } from "./folder.js";

/**
 * Writes `step-<step>` into the folder of checkpoints, then deletes all but the newest `keep`.
 *
 * The new one appears whole or not at all, and nothing is deleted before it stands. A checkpoint
 * of the same step that is whole already stays as it is.
 *
 * @param tensors asked for one at a time
 * @param keep at least 1
 * @returns path of the checkpoint
 * @throws RunError when the disk is full or refuses, or a tensor is not finite; older checkpoints
 *   are untouched then
 */
export function saveCheckpoint(
  folder: string,
  content: CheckpointContent,
  tensors: readonly TensorEntry[],
  keep: number,
): string {
  const path = checkpointPath(folder, content.step);
  const beside = join(folder, `.step-${content.step}.tmp`);
  try {
    makeFolder(folder);
    removeLeftovers(folder);
    checkSpace(folder, tensors);
    mkdirSync(beside);
    const written = writeSafetensors(join(beside, tensorsName), tensors.map(finite));
    const state: StateFile = { version, ...content, tensors: written };
    replaceText(join(beside, stateName), `${JSON.stringify(state, null, 2)}\n`);
    syncFolder(beside);
    if (statOf(path)) {
      if (isWhole(path)) rmSync(beside, { recursive: true });
      else rmSync(path, { recursive: true }); // torn: worth nothing
    }
    if (statOf(beside)) renameSync(beside, path);
    syncFolder(folder);
  } catch (error) {
    removeQuietly(beside);
    throw refusal(folder, content.step, tensors, error);
  }
  // A later step is a torn one, or of a history that this run has left.
  dropCheckpointsAfter(folder, content.step);
  for (const { path: old } of listCheckpoints(folder).slice(Math.max(1, keep))) remove(old);
  return path;
}

/** Deletes checkpoints of later steps: a run that goes back to an older one does them again. */
export function dropCheckpointsAfter(folder: string, step: number): void {
  removeLeftovers(folder);
  for (const checkpoint of listCheckpoints(folder))
    if (checkpoint.step > step) remove(checkpoint.path);
}

/** Hidden first: half a deleted checkpoint must not look like one. */
function remove(path: string): void {
  const hidden = path.replace(/step-(\d+)$/, ".step-$1.old");
  renameSync(path, hidden);
  rmSync(hidden, { recursive: true });
}

/** What a killed process left: halves of checkpoints. Only the run's owner comes here. */
function removeLeftovers(folder: string): void {
  if (!statOf(folder)) return;
  for (const name of readdirSync(folder))
    if (/^\.step-\d+\.(tmp|old)$/.test(name)) rmSync(join(folder, name), { recursive: true });
}

/** The first failure is the one to tell of. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // On a file system that has become read-only it stays.
  }
}

/** A tensor that is looked at before it is written: one that is not finite ends every later step, too. */
function finite(entry: TensorEntry): TensorEntry {
  const data = (): TypedArray => {
    const values = entry.data();
    if (!allFinite(values)) throw new NotFinite(entry.name);
    return values;
  };
  return { ...entry, data };
}

/** Whether all elements are finite; whole numbers, and bits of half precision, are not looked at. */
export function allFinite(values: TypedArray): boolean {
  if (!(values instanceof Float32Array || values instanceof Float64Array)) return true;
  // A sum is finite unless an element is not, and overflows of it are looked into: four times as
  // fast as `every`, and this is done to each weight of each checkpoint.
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += values[index]!;
  return Number.isFinite(sum) || values.every(Number.isFinite);
}

class NotFinite extends Error {}

class DiskFull extends Error {}

const headroom = 1 << 20; // header, state.json, the file system's own blocks

function neededBytes(tensors: readonly TensorEntry[]): number {
  return headroom + tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
}

/** Infinite where the file system does not tell. */
function freeBytes(folder: string): number {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch (error) {
    if (codeOf(error) === "ENOSYS") return Infinity;
    throw error;
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

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
  const says = (reason: string): RunError =>
    new RunError(`checkpoint of step ${step}: ${reason}`, { cause: error });
  if (cause instanceof RunError) return cause;
  if (cause instanceof NotFinite)
    return says(
      `${cause.message} holds values that are not finite; it was not saved, ${whatStands(folder)}. ` +
        `Try a lower optim.lr, or look at what was set in optim and loss.`,
    );
  if (cause instanceof DiskFull || ["ENOSPC", "EDQUOT"].includes(codeOf(cause)))
    return says(
      `disk full: it needs ${megabytes(neededBytes(tensors))}, free are ${megabytes(freeBytes(folder))} ` +
        `in ${folder}; ${whatStands(folder)}. Make room, then resume.`,
    );
  if (!isSystemError(cause)) return error; // not the disk's fault
  return says(`cannot be written: ${causeOf(cause)}; ${whatStands(folder)}.`);
}

/** What a run that cannot save has: "runs/a/checkpoints/step-00000040 stands". */
export function whatStands(folder: string): string {
  const [last] = listCheckpoints(folder);
  return last ? `${last.path} stands` : "there is no earlier checkpoint";
}
