import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";

/** Whether this machine lets us mount a file system of our own (user namespaces, or root). */
export const canMount =
  spawnSync("unshare", ["--user", "--map-root-user", "--mount", "true"]).status === 0;

/**
 * Runs a shell line in a fresh file system that is small enough to fill up; it is gone afterwards.
 *
 * @param place where to mount it
 * @param options tmpfs(5), e.g. `size=8m`
 */
export function shellOnSmallDisk(place: string, options: string, line: string) {
  mkdirSync(place, { recursive: true });
  const inside = `mount -t tmpfs -o ${options} tmpfs '${place}' && cd '${place}' && {\n${line}\n}`;
  return spawnSync("unshare", ["--user", "--map-root-user", "--mount", "sh", "-c", inside], {
    encoding: "utf8",
  });
}
