import { BadImageError, ConfigError, DataError, OdisError, RunError } from "../core/index.js";
import type { Batch, BatchShape } from "./batch.js";
import type { DataSpec } from "../data/index.js";

/** What a worker thread is given when it starts. */
export interface WorkerStart<Settings> {
  readonly spec: DataSpec;
  readonly shape: BatchShape;
  readonly seed: number;
  readonly slots: readonly SharedArrayBuffer[];
  /** One element; not 0 once the loader is closed. */
  readonly closed: Int32Array;
  /** For each worker the image that it is at, as an index into the source; -1: none. */
  readonly working: Int32Array;
  /** Which of the workers this one is. */
  readonly worker: number;
  /** What the worker script needs to make views; the loader does not look at it. */
  readonly settings: Settings;
}

/** Fill consecutive rows of a slot. */
export interface Job {
  readonly step: number;
  readonly epoch: number;
  readonly slot: number;
  /** first row in the batch */
  readonly row: number;
  /** position of the first row in the epoch's order */
  readonly position: number;
  /** indices into the source, one per row */
  readonly indices: Int32Array;
}

export type ToWorker = Job | "close";

/** A picture that could not be used. */
export type Skipped = Batch["stats"]["skipped"][number];

export interface JobDone {
  readonly kind: "done";
  readonly step: number;
  readonly row: number;
  readonly keys: readonly string[];
  readonly skipped: readonly Skipped[];
}

export type FromWorker =
  | { readonly kind: "ready" }
  | JobDone
  | { readonly kind: "failed"; readonly error: WireError };

/** An error as plain data: structured cloning would lose its class and fields. */
export interface WireError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
  readonly exitCode?: number;
  readonly bad?: Skipped;
}

export function toWire(error: unknown): WireError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), stack: "" };
  const { name, message, stack = "" } = error;
  if (error instanceof BadImageError) {
    return { name, message, stack, bad: { key: error.key, reason: error.reason } };
  }
  return error instanceof OdisError
    ? { name, message, stack, exitCode: error.exitCode }
    : { name, message, stack };
}

/** The same error in this thread; `cause` keeps the other thread's stack. */
export function fromWire({ name, message, stack, exitCode, bad }: WireError): Error {
  const options = { cause: stack };
  if (bad) return new BadImageError(bad.key, bad.reason, options);
  if (name === "ConfigError") return new ConfigError(message, exitCode, options);
  if (name === "DataError") return new DataError(message, options);
  if (name === "RunError") return new RunError(message, options);
  if (exitCode !== undefined) return new OdisError(message, exitCode, options);
  return new Error(`a data worker failed with ${name}: ${message}`, options);
}
