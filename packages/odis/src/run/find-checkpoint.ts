import { existsSync, statSync } from "node:fs";
import { RunError } from "../errors.js";
import { latestCheckpoint } from "./checkpoint.js";
import { runLayout } from "./folder.js";

/**
 * The checkpoint that a path means: itself, or a run's newest whole one.
 *
 * @throws RunError when the path is neither a checkpoint nor a run folder with a whole one
 */
export function checkpointOf(path: string): string {
  if (!existsSync(path) || !statSync(path).isDirectory())
    throw new RunError(
      `${path}: ${existsSync(path) ? "is a file" : "does not exist"}. Wanted a run folder, or one ` +
        `of the folders in its checkpoints/.`,
    );
  if (!existsSync(runLayout(path).config)) return path; // loadCheckpoint says what is wrong with it
  const torn: string[] = [];
  const latest = latestCheckpoint(runLayout(path).checkpoints, (place, reason) =>
    torn.push(`${place}: ${reason}`),
  );
  if (latest === undefined)
    throw new RunError(
      `${path}: no usable checkpoint (${torn.length > 0 ? torn.join("; ") : "none was written yet"}). ` +
        `Go on with the run until it saves one, or give another run folder.`,
    );
  return latest;
}
