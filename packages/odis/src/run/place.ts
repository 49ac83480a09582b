import { availableParallelism } from "node:os";
import { checkDevice, type Place, placeFromEnvironment } from "@odis/torch";
import { ConfigError } from "../core/index.js";

/** One of several processes that train together, as its environment tells it. */
export interface Membership extends Place {
  /** processes on this machine, where it is told: they share its cores and its memory */
  readonly localSize: number | undefined;
  /** what MASTER_PORT says; ranks meet at `port`, beside torchrun another one */
  readonly masterPort: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What starts several processes says so in their environment: torchrun, Kubernetes' training
 * operator and `odis pretrain --processes` in RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and
 * MASTER_PORT; SLURM's srun in variables of its own.
 *
 * @returns undefined for a process that is alone
 * @throws ConfigError that names what is missing or wrong
 */
export function membershipOf(env: Environment = process.env): Membership | undefined {
  const slurm = env["WORLD_SIZE"] === undefined && env["RANK"] === undefined;
  const told = slurm ? fromSlurm(env) : env;
  if (told === undefined) return undefined;
  if (told["WORLD_SIZE"] === undefined)
    throw new ConfigError(
      `RANK is set (${told["RANK"]}), but WORLD_SIZE is not; wanted both, as torchrun sets them, or neither`,
    );
  let place: Place | undefined;
  try {
    place = placeFromEnvironment(told);
  } catch (error) {
    throw new ConfigError(error instanceof Error ? error.message : String(error), undefined, {
      cause: error,
    });
  }
  if (!place || place.size === 1) return undefined;
  const { port: masterPort } = place;
  if (told["TORCHELASTIC_USE_AGENT_STORE"] === "True") place = besideLauncher(place);
  const local = Number(told["LOCAL_WORLD_SIZE"]);
  const localSize = Number.isInteger(local) && local > 0 ? local : undefined;
  return { ...place, localSize, masterPort };
}

/**
 * torchrun keeps a store of its own at MASTER_PORT and says so. It may be of another release of PyTorch
 * than this LibTorch, whose stores do not understand each other; so ranks meet at the next port.
 */
function besideLauncher(place: Place): Place {
  return { ...place, port: place.port < 65_535 ? place.port + 1 : place.port - 1 };
}

/** Where ranks meet, for messages, where that is not at MASTER_PORT. */
export const besidePort = ({ port, masterPort }: Membership): string | undefined =>
  port === masterPort
    ? undefined
    : `port ${port} (torchrun itself is at MASTER_PORT, ${masterPort})`;

/** SLURM's variables in torchrun's words; undefined outside `srun` with several tasks. */
function fromSlurm(env: Environment): Environment | undefined {
  const tasks = env["SLURM_STEP_NUM_TASKS"]; // a step's, not the allocation's: sbatch alone starts one
  if (tasks === undefined || tasks === "1" || env["SLURM_PROCID"] === undefined) return undefined;
  const nodes = env["SLURM_STEP_NODELIST"] ?? env["SLURM_JOB_NODELIST"];
  const job = Number(env["SLURM_JOB_ID"] ?? 0);
  return {
    RANK: env["SLURM_PROCID"],
    WORLD_SIZE: tasks,
    LOCAL_RANK: env["SLURM_LOCALID"],
    LOCAL_WORLD_SIZE: /^\d+/.exec(env["SLURM_STEP_TASKS_PER_NODE"] ?? "")?.[0],
    MASTER_ADDR: env["MASTER_ADDR"] ?? (nodes === undefined ? undefined : firstNode(nodes)),
    // The same for all tasks of a job, and another for other jobs on the same node.
    MASTER_PORT: env["MASTER_PORT"] ?? String(20_000 + (job % 10_000)),
  };
}

/** `gpu[07-09,12],login1` -> `gpu07` */
function firstNode(list: string): string {
  const [, prefix = list, first = ""] = /^([^[,]+)(?:\[([^\],-]+))?/.exec(list) ?? [];
  return `${prefix}${first}`;
}

/**
 * The device of a process; of one that shares its machine with others, `cuda` means the GPU of its
 * number there.
 *
 * @throws EngineError when there is no such device
 */
export function deviceOf(device: string, place: Pick<Place, "localRank"> | undefined): string {
  return checkDevice(device === "cuda" && place ? `cuda:${place.localRank}` : device);
}

/** Cores for a process that shares its machine with others, where it is known with how many; at least one. */
export function ownCores(place: Membership | undefined): number | undefined {
  if (place?.localSize === undefined) return undefined;
  return Math.max(1, Math.floor(availableParallelism() / place.localSize));
}
