import { constants } from "node:os";
import { noGrad } from "./autograd.js";
import { empty } from "./creation.js";
import { checkDevice } from "./device.js";
import { call } from "./dispatch.js";
import { EngineError } from "./errors.js";
import { native } from "./native.js";
import { runtimeInfo } from "./runtime.js";
import { refusePromise } from "./scope.js";
import { Tensor } from "./tensor.js";

export interface JoinOptions {
  /** where this process's tensors lie, default "cpu"; on a GPU of its own machine, "cuda:<local rank>" */
  readonly device?: string;
  /** default "nccl" between GPUs where the bridge has it, else "gloo" */
  readonly backend?: "gloo" | "nccl";
  /** how long to wait for the other processes in every call; default 1800 */
  readonly patienceSeconds?: number;
  /** how long to wait for them to come; default: as long as for everything else */
  readonly meetSeconds?: number;
}

/** This process's place, as torchrun tells it. */
export interface Place {
  readonly rank: number;
  readonly size: number;
  /** rank among the processes of this machine: which GPU to take */
  readonly localRank: number;
  readonly address: string;
  readonly port: number;
}

/**
 * Reads RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT and LOCAL_RANK, the variables that torchrun and
 * most schedulers' wrappers set; undefined when WORLD_SIZE is not set.
 *
 * @throws EngineError that names the variable that is missing or wrong
 */
export function placeFromEnvironment(env: NodeJS.ProcessEnv = process.env): Place | undefined {
  if (env["WORLD_SIZE"] === undefined) return undefined;
  const whole = (name: string, least: number, most: number, fallback?: number): number => {
    const text = env[name];
    if (text === undefined && fallback !== undefined) return fallback;
    const value = Number(text);
    if (
      text === undefined ||
      text.trim() === "" ||
      !Number.isInteger(value) ||
      value < least ||
      value > most
    ) {
      throw new EngineError(
        `${name}: got ${text === undefined ? "nothing" : `"${text}"`}, wanted an integer from ${least} ` +
          `to ${most} (WORLD_SIZE is set, so this process is one of several)`,
      );
    }
    return value;
  };
  const size = whole("WORLD_SIZE", 1, 2 ** 20);
  const rank = whole("RANK", 0, size - 1);
  const address = env["MASTER_ADDR"];
  if (!address) {
    throw new EngineError("MASTER_ADDR: got nothing, wanted the host name or address of rank 0");
  }
  return {
    rank,
    size,
    localRank: whole("LOCAL_RANK", 0, size - 1, rank),
    address,
    port: whole("MASTER_PORT", 1, 65535, 29500),
  };
}

/** Told while this thread waits for other processes: nothing else can run on it. */
export interface WaitListener {
  /** a signal that the process listens to by `process.on`, too, without which it would end; no other hears of it */
  readonly onSignal?: (signal: NodeJS.Signals) => void;
  /** who is waited for, every half minute; of several processes that wait one is told */
  readonly onLong?: (sentence: string) => void;
}

const waitListeners = new Set<WaitListener>();
let mayWait = false;

/** Listens until it is disposed of. Where a GPU's queue waits, and not the host, nobody is told. */
export function listenWhileWaiting(listener: WaitListener): Disposable {
  waitListeners.add(listener);
  registerListeners();
  return {
    [Symbol.dispose]() {
      waitListeners.delete(listener);
      registerListeners();
    },
  };
}

/** Only where processes meet: the bridge is not loaded for those who listen in vain. */
function registerListeners(): void {
  if (!mayWait) return;
  const catches = [...waitListeners].some(({ onSignal }) => onSignal !== undefined);
  native().listenWhileWaiting(tellListeners, waitListeners.size > 0, catches);
}

/** @param number of a signal, or 0 */
function tellListeners(number: number, sentence: string): void {
  const signal = (["SIGINT", "SIGTERM", "SIGHUP"] as const).find(
    (name) => constants.signals[name] === number,
  );
  for (const { onSignal, onLong } of waitListeners)
    if (signal) onSignal?.(signal);
    else onLong?.(sentence);
}

/** A message under way; its tensors must be left alone until `wait` has returned. */
export interface Transfer {
  /**
   * Waits until the result is there; again is no error. On a GPU the device's queue waits, not the host.
   *
   * @throws EngineError that names this rank, the message, and the ranks that do not answer
   */
  wait(): void;
}

/** What a process has sent. */
export interface Traffic {
  readonly messages: number;
  /** of the tensors sent, each message counted once, however often the backend passes it on */
  readonly bytes: number;
}

/**
 * The processes that train together. All of them must make the same calls in the same order. Methods
 * that begin with `start` return at once, all others when the result is there.
 */
export class ProcessGroup implements Disposable {
  private constructor(
    readonly rank: number,
    readonly size: number,
    readonly backend: string,
  ) {}

  /**
   * Meets the other processes.
   *
   * @throws EngineError when the environment is incomplete, or the others do not come in time: which
   */
  static join(
    { address, port, rank, size }: Place,
    {
      device = "cpu",
      backend,
      patienceSeconds = 1800,
      meetSeconds = patienceSeconds,
    }: JoinOptions = {},
  ): ProcessGroup {
    const here = checkDevice(device);
    const hasNccl = here !== "cpu" && collectiveBackends().includes("nccl");
    const chosen = checkBackend(backend ?? (hasNccl ? "nccl" : "gloo"));
    const [patience, meet] = [patienceSeconds, meetSeconds].map((one) => Math.round(one * 1000));
    mayWait = true;
    registerListeners();
    native().joinProcesses(chosen, address, port, rank, size, patience!, here, meet!);
    return new ProcessGroup(rank, size, chosen);
  }

  /**
   * Replaces each tensor, in place, by its sum (or mean) over all processes. Tensors of one dtype and
   * device travel in one message.
   */
  allReduce(tensors: Tensor | readonly Tensor[], by: "sum" | "mean" = "sum"): void {
    this.startAllReduce(tensors, by).wait();
  }

  startAllReduce(tensors: Tensor | readonly Tensor[], by: "sum" | "mean" = "sum"): Transfer {
    const all = listOf(tensors);
    const transfer = transferOf(all.length === 0 ? undefined : native().startSum(all));
    if (by === "sum" || all.length === 0) return transfer;
    const divide = once(() => noGrad(() => call("aten::_foreach_div_.Scalar", all, this.size)));
    return {
      wait: () => {
        transfer.wait();
        divide();
      },
    };
  }

  /** Overwrites each tensor, in place, by that of the process `source`. */
  broadcast(tensors: Tensor | readonly Tensor[], source = 0): void {
    const all = listOf(tensors);
    if (all.length > 0) transferOf(native().startBroadcast(all, source)).wait();
  }

  /** The tensors of all processes, which must have one shape, in the order of ranks. */
  allGather(tensor: Tensor): Tensor[] {
    const { dtype, device, shape } = tensor;
    const whole = empty([this.size, ...shape], { dtype, device });
    const part = tensor.contiguous().reshape([1, ...shape]);
    this.startAllGatherInto(whole, part).wait();
    return whole.unbind(0);
  }

  /** Fills `whole` [size * n, ...] with the `part` [n, ...] of every process, in the order of ranks. */
  startAllGatherInto(whole: Tensor, part: Tensor): Transfer {
    return transferOf(native().startGather([whole, part]));
  }

  /**
   * Fills `part` [n, ...] with this rank's share of the sum of every process's `whole` [size * n, ...]:
   * what an optimiser needs that updates a part of the weights in each process.
   */
  startReduceScatter(whole: Tensor, part: Tensor): Transfer {
    return transferOf(native().startScatterSum([whole, part]));
  }

  /** Waits until every process is here. */
  barrier(): void {
    native().barrier();
  }

  /** What this process has sent since it joined. */
  get traffic(): Traffic {
    const [messages, bytes] = native().traffic();
    return { messages, bytes };
  }

  /**
   * Once a transfer has failed: the ranks that do not answer, and those that gave up by themselves.
   * When rank 0 is gone, where all have met, it is the only one that can be named.
   */
  get failed():
    | { readonly missing: readonly number[]; readonly gaveUp: readonly number[] }
    | undefined {
    const found = native().failedProcesses();
    return found && { missing: found[0], gaveUp: found[1] };
  }

  /**
   * For a process that ends in the middle of the work and says itself why: the others fail, as soon
   * as they wait for it, and see that it gave up. Waits some seconds for them.
   */
  giveUp(): void {
    native().giveUp();
  }

  /** Leaves the group. */
  [Symbol.dispose](): void {
    native().leaveProcesses();
  }
}

const listOf = (tensors: Tensor | readonly Tensor[]): readonly Tensor[] =>
  tensors instanceof Tensor ? [tensors] : tensors;

const transferOf = (number: number | undefined): Transfer => ({
  wait: () => {
    if (number !== undefined) native().waitTransfer(number);
  },
});

function once(fn: () => void): () => void {
  let done = false;
  return () => {
    if (!done) fn();
    done = true;
  };
}

export interface BucketOptions {
  /** bytes of gradients in one message, default 25 MiB */
  readonly bytes?: number;
  /** default "mean"; "sum" for losses that were divided by what all processes have together */
  readonly by?: "sum" | "mean";
}

/**
 * Averages (or sums) the gradients of weights over all processes while backward goes on: autograd itself, on its
 * own thread, begins to send a bucket as soon as the last of its gradients is there.
 *
 * Weights that have a gradient in one process only count as zero in the others; one that has a gradient
 * nowhere keeps none. Move weights to their device before.
 */
export class GradientBuckets implements Disposable {
  private readonly number: number;

  /** @param weights leaves that want a gradient, in the same order in every process */
  constructor(
    readonly group: ProcessGroup,
    weights: readonly Tensor[],
    { bytes = 25 * 2 ** 20, by = "mean" }: BucketOptions = {},
  ) {
    this.number = native().makeBuckets(weights, bytes, by === "mean");
  }

  /** How many messages a step takes. */
  get count(): number {
    return native().countBuckets(this.number);
  }

  /**
   * Runs the last backward pass of a step; afterwards `grad` of every weight is the mean (or
   * sum) over all processes of what it would have been. Earlier passes, outside, add up in `grad` as usual.
   *
   * @throws OperatorError when a gradient comes twice: `backward` was called twice
   * @throws EngineError when another process does not answer
   */
  reduceDuring(backward: () => void): void {
    this.run(backward, true);
  }

  /**
   * The same where gradients come in pieces: `fill` says itself which weights are complete. What it
   * does not name is sent at the end.
   */
  reduceReady(fill: (ready: (weights: readonly Tensor[]) => void) => void): void {
    this.run(() => fill((weights) => native().readyInBuckets(this.number, weights)), false);
  }

  private run(work: () => void, listen: boolean): void {
    native().beginBuckets(this.number, listen);
    try {
      refusePromise(work(), "GradientBuckets");
      native().endBuckets(this.number);
    } catch (error) {
      native().dropBuckets(this.number);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    native().freeBuckets(this.number);
  }
}

/** Backends that the built bridge has: "gloo" (CPU), "nccl" (NVIDIA GPUs). */
export function collectiveBackends(): readonly string[] {
  return native().collectiveBackends();
}

/**
 * @returns the backend
 * @throws EngineError when the built bridge does not have it
 */
export function checkBackend<B extends "gloo" | "nccl">(backend: B): B {
  const available = collectiveBackends();
  if (available.includes(backend)) return backend;
  throw new EngineError(
    [
      `backend "${backend}" is not in this bridge, which has ${available.join(", ") || "none"}.`,
      ...runtimeInfo().lacks,
    ].join(" "),
  );
}
