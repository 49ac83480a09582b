import { checkBackend, EngineError, ProcessGroup } from "@odis/torch";
import { RunError, show } from "../core/index.js";
import { World } from "../train/index.js";
import { awaitFirst, tellMet } from "./meeting.js";
import { besidePort, type Membership } from "./place.js";
import type { ProgressStream } from "./progress.js";

export interface Patience {
  /** seconds after which a process that does not answer is taken for gone, default 20 */
  readonly patience?: number | undefined;
  /** seconds in which all have to come, default 600: machines do not start at once */
  readonly rendezvous?: number | undefined;
  /** where a process says that it waits for the others to come; default nowhere */
  readonly progress?: ProgressStream | undefined;
}

/**
 * Meets the other processes.
 *
 * @param device where this process computes
 * @throws RunError when they do not come, or the port is taken; ToldElsewhere when the first has failed;
 *   EngineError when the bridge cannot join processes of this device
 */
export async function joinWorld(
  place: Membership,
  device: string,
  { patience = 20, rendezvous = 600, progress }: Patience,
): Promise<World> {
  const backend = checkBackend(device === "cpu" ? "gloo" : "nccl");
  const left = await awaitFirst(place, rendezvous, (line) => progress?.write(line));
  try {
    const group = ProcessGroup.join(place, {
      device,
      backend,
      patienceSeconds: patience,
      meetSeconds: left,
    });
    tellMet();
    return new World(group, device, (sentence) => progress?.write(`${sentence}\n`));
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    const { address, port } = place;
    throw new RunError(
      `${error.message.replace(/^\w+: /, "")}. Look at MASTER_ADDR (${show(address)}) and ` +
        `${besidePort(place) ?? `MASTER_PORT (${port})`}, and whether all processes were started.`,
      { cause: error },
    );
  }
}
