import { EngineError } from "@odis/torch";
import { exitCodes, OdisError, RunError, ToldElsewhere } from "../core/index.js";
import type { World } from "../train/index.js";
import { listCheckpoints } from "./checkpoint.js";
import { runLayout } from "./folder.js";
import { whatStands } from "./save.js";

/** Where a process stands among those that train together. */
export interface Standing {
  /** rank among the processes of its machine */
  readonly localRank: number;
  /** what was saved so far, a clause: "runs/a/checkpoints/step-00000040 stands"; undefined for nothing */
  readonly stands: () => string | undefined;
  /** what to do after something that is no mistake of the run's, a sentence; default: to go on */
  readonly advice?: string | undefined;
}

/**
 * Does a process's part of the work. When something goes wrong anywhere all processes end, and one of
 * them says why: the one where it went wrong, else the first that is left.
 *
 * @throws what is to be told; ToldElsewhere where another process does
 */
export async function amongOthers<T>(
  world: World,
  standing: Standing,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw world.size === 1 ? error : ending(world, standing, error);
  }
}

function ending(
  world: World,
  { localRank, stands: saved, advice = goOn }: Standing,
  error: unknown,
): unknown {
  if (error instanceof ToldElsewhere) return error;
  const { failed, rank } = world;
  const clause = saved();
  const stands = clause === undefined ? undefined : `${clause}.`;
  if (failed) {
    if (failed.gaveUp.length > 0) return new ToldElsewhere("EngineError", exitCodes.run);
    if (!isTeller(world, failed.missing, localRank))
      return new ToldElsewhere("EngineError", exitCodes.run);
    const { message } = error instanceof Error ? error : new Error(String(error));
    const what = message.replace(/^\w+: /, ""); // the engine's entry
    return new RunError(`${what}. ${stands ?? "Nothing was saved yet."} ${advice}`, {
      cause: error,
    });
  }
  if (!world.isKnown(error)) world.giveUp();
  if (rank === 0) return withStands(error, "", stands);
  return withStands(error, `rank ${rank} of ${world.size}: `, stands);
}

/** Where what was saved is gone on from. */
export const goOn =
  "Run the same line again to go on, with as many processes or with another number of them.";

/** What a run folder has saved: "runs/a/checkpoints/step-00000040 stands". */
export function runStands(out: string): string | undefined {
  const { checkpoints } = runLayout(out);
  return listCheckpoints(checkpoints).length > 0 ? whatStands(checkpoints) : undefined;
}

/** Of the processes that are left one tells; without rank 0 they cannot know of each other: one on each machine. */
function isTeller({ rank, size }: World, missing: readonly number[], localRank: number): boolean {
  if (missing.includes(0)) return rank === 1 || localRank === 0;
  const left = Array.from({ length: size }, (_, one) => one).filter(
    (one) => !missing.includes(one),
  );
  return rank === left[0];
}

/** A user's mistake with the rank that found it, and what the run has; others as they are. */
function withStands(error: unknown, who: string, stands: string | undefined): unknown {
  const exitCode =
    error instanceof OdisError
      ? error.exitCode
      : error instanceof EngineError
        ? exitCodes.engine
        : undefined;
  if (!(error instanceof Error) || exitCode === undefined) return error;
  const { message } = error;
  if (stands === undefined || message.includes(" stands")) {
    if (who === "") return error;
    return new OdisError(`${who}${message}`, exitCode, { cause: error });
  }
  const whole = `${who}${message.replace(/\.?$/, ".")} ${stands}`;
  return new OdisError(whole, exitCode, { cause: error });
}
