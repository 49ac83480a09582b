import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { isMainThread } from "node:worker_threads";
import { betterKernels, blasToPreload } from "./blas.js";
import { buildCommand, planBuild } from "./build-plan.js";
import type { TypedArray } from "./dtype.js";
import { EngineError, OperatorError, ShapeError, UseAfterFreeError } from "./errors.js";

/**
 * Where a Tensor or Generator keeps its handle. A symbol survives neither `postMessage` nor
 * `JSON`, so an object that crossed to another thread is no longer taken for a tensor.
 */
export const handleKey: unique symbol = Symbol("handle");

/** A number that the bridge gave out; positive for tensors, negative for generators. */
export type Handle = number;

/** Something that the bridge knows by a handle. */
export interface Handled {
  readonly [handleKey]: Handle;
}

/** An operator of the linked library. */
export interface ResolvedOperator {
  readonly op: number;
  /** which argument an in-place operator returns, -1 for none */
  readonly self: number;
  /** types of the results, as the schema writes them */
  readonly returns: readonly string[];
  /** "name: type" */
  readonly parameters: readonly string[];
}

/** A GPU. */
export interface DeviceInfo {
  readonly name: string;
  /** of its memory */
  readonly bytes: number;
  /** NVIDIA's compute capability, e.g. "9.0" */
  readonly capability: string;
}

/** What LibTorch's allocator has taken of a device's memory, in bytes. */
export interface DeviceMemory {
  /** behind live tensors */
  readonly allocated: number;
  /** the most that `allocated` has been since the process began, or since `resetPeakMemory` */
  readonly peak: number;
  /** taken from the driver, kept for later tensors included */
  readonly reserved: number;
}

/** The functions of the addon; each throws an EngineError and nothing else. */
export interface Native {
  init(
    key: symbol,
    errors: readonly (new (message: string) => Error)[],
    warn: (message: string) => void,
  ): void;
  /** @param trusted whether the caller checks arguments as LibTorch's own code would */
  resolve(name: string, trusted: boolean): ResolvedOperator;
  operatorNames(): string[];
  call(op: number, ...args: readonly unknown[]): unknown;

  fromBuffer(view: TypedArray, shape: readonly number[], dtype: string, pinned: boolean): Handle;
  read(tensor: Handle, view: TypedArray): void;
  item(tensor: Handle): number;
  shape(tensor: Handle): number[];
  dtype(tensor: Handle): string;
  device(tensor: Handle): string;
  size(tensor: Handle): number;
  alive(tensor: Handle): boolean;
  free(tensor: Handle): void;
  freeAll(tensors: Float64Array, count: number): void;
  track(tensor: Handle): void;
  liveTensors(): number;
  liveBytes(): number;

  requiresGrad(tensor: Handle): boolean;
  setRequiresGrad(tensor: Handle, on: boolean): void;
  isLeaf(tensor: Handle): boolean;
  grad(tensor: Handle): Handle | null;
  setGrad(tensor: Handle, gradient: Handled | undefined): void;
  backward(
    roots: readonly Handled[],
    gradients: readonly Handled[] | undefined,
    retainGraph: boolean,
    createGraph: boolean,
  ): void;
  gradients(
    outputs: readonly Handled[],
    inputs: readonly Handled[],
    gradients: readonly Handled[] | undefined,
    retainGraph: boolean,
    createGraph: boolean,
  ): (Handle | null)[];
  gradEnabled(): boolean;
  setGradEnabled(enabled: boolean): void;
  setAutocast(device: string, dtype: string | null): string | null;

  manualSeed(seed: number): void;
  newGenerator(seed: number, device: string): Handle;
  freeGenerator(generator: Handle): void;
  generatorState(generator: Handle): Handle;
  setGeneratorState(generator: Handle, state: Handled): void;
  setThreads(threads: number): void;
  threads(): number;
  runtime(): {
    readonly version: string;
    readonly place: string;
    readonly blas: string;
    readonly blisVersion: string;
    /** as BLIS calls the kernels that it computes with */
    readonly blisKernels: string;
    readonly mkl: boolean;
    readonly ncclInLibrary: boolean;
    readonly cudaDevices: number;
  };

  deviceProblem(device: string): string;
  synchronize(device: string): void;
  deviceInfo(device: string): DeviceInfo | null;
  deviceMemory(device: string): DeviceMemory | null;
  resetPeakMemory(device: string): void;
  releaseMemory(device: string): void;
  newStream(device: string): number;
  useStream(stream: number): number;
  followStream(stream: number, tensors: readonly Handled[]): void;

  collectiveBackends(): string[];
  joinProcesses(
    backend: string,
    address: string,
    port: number,
    rank: number,
    size: number,
    milliseconds: number,
    device: string,
    millisecondsToMeet: number,
  ): void;
  leaveProcesses(): void;
  startSum(tensors: readonly Handled[]): number;
  startBroadcast(tensors: readonly Handled[], source: number): number;
  startGather(wholeAndPart: readonly [Handled, Handled]): number;
  startScatterSum(wholeAndPart: readonly [Handled, Handled]): number;
  waitTransfer(transfer: number): void;
  barrier(): void;
  listenWhileWaiting(
    tell: (signal: number, sentence: string) => void,
    listens: boolean,
    catchesSignals: boolean,
  ): void;
  giveUp(): void;
  failedProcesses(): [missing: number[], gaveUp: number[]] | undefined;
  traffic(): [messages: number, bytes: number];
  makeBuckets(weights: readonly Handled[], bytes: number, mean: boolean): number;
  beginBuckets(buckets: number, listen: boolean): void;
  readyInBuckets(buckets: number, weights: readonly Handled[]): void;
  endBuckets(buckets: number): void;
  dropBuckets(buckets: number): void;
  countBuckets(buckets: number): number;
  freeBuckets(buckets: number): void;
}

/** What is loaded before LibTorch. */
interface Preloader {
  open(library: string): string | undefined;
  kernels(library: string, name: string): void;
  hold(turns?: string, kept?: string): void;
}

/**
 * How often a waiting OpenMP thread looks for work before it sleeps: about a millisecond. GCC's own
 * choice is ten times that, which on a quiet machine gains nothing and on a shared one takes the core
 * from the thread that is waited for; sleeping at once costs a quiet machine a tenth of a small step.
 */
const spinTurns = "30000";

/**
 * How many compiled kernels oneDNN keeps. Its own choice is 1,024, one for every shape that it has met, each of some
 * five megabytes: steps, which have another number of hidden patches every time, filled 5 GB in 400 of
 * them (LibTorch 2.15, whose GELU is oneDNN's). The shapes that come back in every step fit into this.
 */
const keptKernels = "16";

let loaded: Native | undefined;

/**
 * The bridge, loaded at first use: importing this package works without LibTorch, using it does not.
 *
 * @throws EngineError when LibTorch or the built bridge is missing, with the command that mends it
 */
export function native(): Native {
  loaded ??= load();
  return loaded;
}

function preloadBlas(preloader: Preloader, lib: string): void {
  // A library of the user's own may lack kernels that its table names; Debian's has all.
  const kernels = process.env["ODIS_BLAS"] ? undefined : betterKernels();
  for (const library of blasToPreload(lib)) {
    const reason = preloader.open(library);
    if (reason) throw new EngineError(`the BLAS library ${library} does not load: ${reason}`);
    if (kernels) preloader.kernels(library, kernels);
  }
}

function requireBridge(require: NodeJS.Require, addon: string): Native {
  try {
    return require(addon) as Native;
  } catch (error) {
    throw new EngineError(
      `The bridge at ${addon} does not load: ${(error as Error).message}. ` +
        `Remove its folder and build it again with: ${buildCommand}`,
      { cause: error },
    );
  }
}

function load(): Native {
  const { addon, preload, libtorch } = planBuild();
  if (!existsSync(addon)) {
    throw new EngineError(
      `The bridge to LibTorch ${libtorch.version} at ${libtorch.place} is not built, or its sources ` +
        `have changed since. Build it (under two minutes) with: ${buildCommand}`,
    );
  }
  const require = createRequire(import.meta.url);
  const preloader = require(preload) as Preloader;
  let bridge: Native;
  preloader.hold(spinTurns, keptKernels);
  try {
    if (libtorch.systemBlas) preloadBlas(preloader, libtorch.lib);
    bridge = requireBridge(require, addon);
  } finally {
    preloader.hold();
  }
  const errors = [EngineError, OperatorError, ShapeError, UseAfterFreeError];
  bridge.init(handleKey, errors, (message) => process.emitWarning(message, "LibTorchWarning"));
  // Left alone, LibTorch 1.13 counts the cores of some virtual machines as one.
  if (!process.env["OMP_NUM_THREADS"] && isMainThread) bridge.setThreads(availableParallelism());
  return bridge;
}
