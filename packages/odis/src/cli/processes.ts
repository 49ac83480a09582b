import { ConfigError } from "../core/index.js";
import type { Membership } from "../run/index.js";
import { integer } from "./options.js";

/** `--processes`, as every command has it whose work several can share. */
export const processesOption = (help: string) =>
  integer({ help: `${help} (default: 1)`, min: 1, max: 64 });

/**
 * @param place which of several processes this is already
 * @returns how many this one is to start; 1 for none
 * @throws ConfigError when both are said and differ
 */
export function processesToStart(
  processes: number | undefined,
  place: Membership | undefined,
): number {
  if (place && processes !== undefined && place.size !== processes)
    throw new ConfigError(
      `--processes: got ${processes}, but WORLD_SIZE says that this is one of ${place.size} processes; ` +
        `wanted one of them only`,
    );
  return place ? 1 : (processes ?? 1);
}
