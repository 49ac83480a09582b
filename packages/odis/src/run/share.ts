import { listenWhileWaiting, setThreads } from "@odis/torch";
import { World } from "../train/index.js";
import { amongOthers, type Standing } from "./among.js";
import { joinWorld, type Patience } from "./join.js";
import { deviceOf, type Membership, ownCores } from "./place.js";

/**
 * Seconds that others wait for a process that evaluates or embeds: what is computed at a time may take
 * minutes, and a process that ended is missed at once.
 */
export const sharedPatience = 1800;

export interface ShareOptions extends Pick<Standing, "stands" | "advice">, Patience {
  /** which of several processes this one is; undefined: alone */
  readonly place: Membership | undefined;
  readonly device: string;
  /** LibTorch's threads; default: all cores, or this process's share of its machine's */
  readonly threads?: number | undefined;
}

/**
 * Does work that several processes share, each in the same way.
 *
 * @param work gets the processes, and the device of this one
 * @throws as `amongOthers` and `joinWorld`; EngineError when there is no such device
 */
export async function shareWork<T>(
  { place, device: asked, threads, stands, advice, ...meeting }: ShareOptions,
  work: (world: World, device: string) => Promise<T>,
): Promise<T> {
  const { progress } = meeting;
  const say = progress && ((sentence: string): unknown => progress.write(`${sentence}\n`));
  const device = deviceOf(asked, place);
  const cores = threads ?? ownCores(place);
  if (cores !== undefined) setThreads(cores);
  using _waiting = listenWhileWaiting({ onLong: (sentence) => say?.(sentence) });
  using world = place ? await joinWorld(place, device, meeting) : World.alone;
  const standing = { localRank: place?.localRank ?? 0, stands, advice };
  return await amongOthers(world, standing, () => work(world, device));
}
