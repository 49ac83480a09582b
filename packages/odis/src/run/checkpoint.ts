import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { join } from "node:path";
import { openSafetensors, type SafetensorsFile } from "@odis/torch";
import { z } from "zod";
import { causeOf, FileProblem, readRegularSync, RunError, statOf } from "../core/index.js";
import { configDifferences, describeDifferences, runLayout, stateName } from "./folder.js";

/** Of the format; a checkpoint of another one is refused, never read by guess. */
export const version = 1;
export const tensorsName = "tensors.safetensors";
const namePattern = /^step-(\d{8,})$/;

/** Name of the folder of a checkpoint. */
export const checkpointName = (step: number): string => `step-${String(step).padStart(8, "0")}`;

export const checkpointPath = (folder: string, step: number): string =>
  join(folder, checkpointName(step));

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

/** What state.json holds. */
export type StateFile = z.infer<typeof stateSchema>;

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

/** Checkpoints of a folder by name, newest first; they may be torn. */
export function listCheckpoints(folder: string): readonly { step: number; path: string }[] {
  if (!statOf(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => {
      const step = namePattern.exec(name)?.[1];
      return step === undefined ? [] : [{ step: Number(step), path: join(folder, name) }];
    })
    .toSorted((a, b) => b.step - a.step);
}

/**
 * Opens a checkpoint after checking every byte of it.
 *
 * @param config when given, the checkpoint must have been made with exactly this configuration
 * @throws RunError when it is missing, torn, unreadable, of another release or configuration
 */
export function loadCheckpoint(path: string, config?: unknown): Checkpoint {
  try {
    return openWhole(path, config);
  } catch (error) {
    if (!(error instanceof Torn)) throw error;
    throw new RunError(
      `checkpoint ${path}: torn: ${error.message}. Use another checkpoint of the run; this one cannot be mended.`,
    );
  }
}

/**
 * Opens the newest whole checkpoint of a folder, undefined when the folder has none at all.
 *
 * @param onSkip hears of every newer one that is torn, and why
 * @throws RunError when a newer one is not torn but cannot be used, or all are torn: to go on
 *   without it would replace work by less
 */
export function loadLatestCheckpoint(
  folder: string,
  onSkip: (path: string, reason: string) => void,
  config?: unknown,
): Checkpoint | undefined {
  const torn: string[] = [];
  for (const { path } of listCheckpoints(folder)) {
    try {
      return openWhole(path, config);
    } catch (error) {
      if (!(error instanceof Torn)) throw error;
      torn.push(`${path}: ${error.message}`);
      onSkip(path, `torn: ${error.message}`);
    }
  }
  if (torn.length === 0) return undefined;
  throw new RunError(
    `${folder}: every checkpoint is torn (${torn.join("; ")}). Copy them from a backup, or delete ` +
      `them to begin at step 0.`,
  );
}

/**
 * Opens the checkpoint that a path means: itself, or a run's newest whole one.
 *
 * @throws RunError when the path is neither a checkpoint nor a run folder with a whole one
 */
export function openCheckpointOf(path: string): Checkpoint {
  const stat = statOf(path);
  if (!stat?.isDirectory())
    throw new RunError(
      `${path}: ${stat ? "is a file" : "does not exist"}. Wanted a run folder, or one of the ` +
        `folders in its checkpoints/.`,
    );
  const { config, checkpoints } = runLayout(path);
  if (!statOf(config)) {
    const isOther = [stateName, tensorsName].every((name) => !statOf(join(path, name)));
    if (!isOther) return loadCheckpoint(path); // which says what is wrong with it
    throw new RunError(
      `${path}: is no run folder (it has no config.json) and no checkpoint (it has no ${stateName}). ` +
        `Give the folder that odis pretrain --out made.`,
    );
  }
  const latest = loadLatestCheckpoint(checkpoints, () => undefined);
  if (latest) return latest;
  throw new RunError(
    `${path}: no checkpoint was written yet, checkpoints/ is empty. Go on with the run until it saves one, or give ` +
      `another run folder.`,
  );
}

/** {@link openCheckpointOf} for those who open its files themselves. */
export function checkpointOf(path: string): string {
  const checkpoint = openCheckpointOf(path);
  checkpoint.tensors.close();
  return checkpoint.path;
}

/** Half a checkpoint, as a crash leaves it: there is nothing in it that could be lost. */
export class Torn extends Error {}

/** @throws Torn, or RunError for whatever else is wrong: that checkpoint may be worth much */
function openWhole(path: string, config: unknown): Checkpoint {
  const { version: _, tensors: wanted, ...content } = readState(path);
  checkConfig(path, content.config, config);
  checkTensors(path, wanted);
  return { ...content, path, tensors: openSafetensors(join(path, tensorsName)) };
}

/**
 * Whether a checkpoint that was listed is whole.
 *
 * @throws RunError as {@link loadCheckpoint}, except for torn ones
 */
export function isWhole(path: string): boolean {
  try {
    checkTensors(path, readState(path).tensors);
    return true;
  } catch (error) {
    if (error instanceof Torn) return false;
    throw error;
  }
}

function readState(path: string): StateFile {
  const refuse = (problem: string): RunError => new RunError(`checkpoint ${path}: ${problem}`);
  const value = stateValue(path, refuse);
  const found = z.looseObject({ version: z.number() }).safeParse(value);
  if (found.success && found.data.version !== version)
    throw refuse(
      `written by another release: version ${found.data.version}, this one reads ${version}. ` +
        `Use the release that made it.`,
    );
  const state = stateSchema.safeParse(value);
  if (!state.success)
    throw refuse(`not a checkpoint of odis: ${stateName} lacks what one needs. Move it away.`);
  const { step } = state.data;
  const named = namePattern.exec(path.split("/").at(-1) ?? "")?.[1];
  if (named !== undefined && Number(named) !== step)
    throw refuse(
      `${stateName} says step ${step}, the folder's name step ${Number(named)}; one of them was ` +
        `changed. ${putBack}`,
    );
  return state.data;
}

function stateValue(path: string, refuse: (problem: string) => RunError): unknown {
  const file = join(path, stateName);
  let text: string;
  try {
    if (!statOf(path)) throw refuse("does not exist. Give one of the folders in checkpoints/.");
    text = readRegularSync(file, longestState).toString("utf8");
  } catch (error) {
    if (!(error instanceof FileProblem))
      throw error instanceof RunError
        ? error
        : refuse(`${stateName} cannot be read: ${causeOf(error)}.`);
    if (error.code !== "ENOENT") throw refuse(`${stateName} ${error.message}. ${putBack}`);
    const others = readdirSync(path).filter((name) => name !== tensorsName);
    if (others.length > 0) throw refuse(`not a checkpoint: it has no ${stateName}. Move it away.`);
    throw new Torn(`${stateName} is missing`);
  }
  try {
    return JSON.parse(text);
  } catch {
    // A crash leaves the start of what was written, or zeros of its length.
    if (/^\{[^]*[^}\s]\s*$|\0|^$/.test(text)) throw new Torn(`${stateName} is not JSON`);
    throw refuse(`${stateName} is not JSON. ${putBack}`);
  }
}

const putBack = "Restore it from a copy, or delete this checkpoint.";

/** Bytes; ours have some ten thousand. */
const longestState = 2 ** 26;

function checkConfig(path: string, there: unknown, here: unknown): void {
  const found = here === undefined ? [] : configDifferences(there, here);
  if (found.length > 0)
    throw new RunError(
      `checkpoint ${path}: made with another config: ${describeDifferences(found)}. ` +
        `Give the same settings, or begin a new run.`,
    );
}

function checkTensors(path: string, wanted: StateFile["tensors"]): void {
  const file = join(path, tensorsName);
  try {
    const stat = statOf(file);
    if (!stat) throw new Torn(`${tensorsName} is missing`);
    if (!stat.isFile())
      throw new RunError(`checkpoint ${path}: ${tensorsName} is no regular file. ${putBack}`);
    if (stat.size !== wanted.bytes)
      throw new Torn(`${tensorsName} has ${stat.size} of ${wanted.bytes} bytes`);
    if (sha256(file) !== wanted.sha256)
      throw new Torn(`${tensorsName} is not what was written (its SHA-256 differs)`);
  } catch (error) {
    if (error instanceof Torn || error instanceof RunError) throw error;
    throw new RunError(
      `checkpoint ${path}: ${tensorsName} cannot be read: ${causeOf(error)}. Mend that first.`,
      { cause: error },
    );
  }
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
