import { EngineError } from "./errors.js";
import { native } from "./native.js";
import { foreachDiv_ } from "./ops.js";
import { runtimeInfo } from "./runtime.js";
import { fromHandle, Tensor } from "./tensor.js";

export interface JoinOptions {
  /** default "nccl" where it is available and the process has a GPU, else "gloo" */
  readonly backend?: "gloo" | "nccl";
  /** how long to wait for the other processes, here and in every later call; default 1800 */
  readonly patienceSeconds?: number;
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

/**
 * The processes that train together. All of them must make the same calls in the same order; every
 * call waits for the others.
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
   * @throws EngineError when the environment is incomplete, or the others do not come in time
   */
  static join(place: Place, { backend, patienceSeconds = 1800 }: JoinOptions = {}): ProcessGroup {
    const available = collectiveBackends();
    const cuda = native().runtime().cudaDevices > 0;
    const chosen = backend ?? (cuda && available.includes("nccl") ? "nccl" : "gloo");
    if (!available.includes(chosen)) {
      throw new EngineError(
        `backend "${chosen}" is not in this bridge, which has ${available.join(", ") || "none"}. ` +
          runtimeInfo().lacks.join(" "),
      );
    }
    const { address, port, rank, size } = place;
    native().joinProcesses(chosen, address, port, rank, size, Math.round(patienceSeconds * 1000));
    return new ProcessGroup(rank, size, chosen);
  }

  /** Replaces each tensor, in place, by its sum (or mean) over all processes. */
  allReduce(tensors: Tensor | readonly Tensor[], by: "sum" | "mean" = "sum"): void {
    const all = tensors instanceof Tensor ? [tensors] : tensors;
    if (all.length === 0) return;
    native().sumAcross(all);
    if (by === "mean") foreachDiv_(all, this.size);
  }

  /** Overwrites each tensor, in place, by that of the process `source`. */
  broadcast(tensors: Tensor | readonly Tensor[], source = 0): void {
    const all = tensors instanceof Tensor ? [tensors] : tensors;
    if (all.length > 0) native().broadcast(all, source);
  }

  /** The tensors of all processes, which must have one shape, in the order of ranks. */
  allGather(tensor: Tensor): Tensor[] {
    return native().gather(tensor).map(fromHandle);
  }

  /** Waits until every process is here. */
  barrier(): void {
    native().barrier();
  }

  /** Leaves the group. */
  [Symbol.dispose](): void {
    native().leaveProcesses();
  }
}

/** Backends that the built bridge has: "gloo" (CPU), "nccl" (NVIDIA GPUs). */
export function collectiveBackends(): readonly string[] {
  return native().collectiveBackends();
}
