import { existsSync, statSync } from "node:fs";
import { fromBuffer, noGrad, type Tensor } from "@odis/torch";
import { z } from "zod";
import type { DataSpec } from "../data/source.js";
import { RunError } from "../errors.js";
import type { Network } from "../model/network.js";
import { type Checkpoint, latestCheckpoint, loadCheckpoint } from "../run/checkpoint.js";
import { runLayout } from "../run/folder.js";
import { type Recipe, recipeSchema } from "../train/recipe.js";
import { buildNetwork } from "../train/state.js";

/** The teacher of a run at one of its checkpoints. */
export interface LoadedTeacher {
  /** frozen; `free()` it when done */
  readonly network: Network;
  readonly recipe: Recipe;
  /** steps that were done */
  readonly step: number;
  /** the checkpoint it came from */
  readonly checkpoint: string;
}

const prefix = "teacher.";

/**
 * Rebuilds the teacher from a checkpoint alone.
 *
 * @param path a run folder (its newest whole checkpoint is taken) or one checkpoint
 * @throws RunError when there is none, or when it does not fit its own configuration
 */
export function loadTeacher(path: string, device = "cpu"): LoadedTeacher {
  const found = checkpointOf(path);
  const checkpoint = loadCheckpoint(found);
  try {
    const recipe = recipeOf(checkpoint.config, found);
    const network = buildNetwork(recipe, "teacher").requiresGrad_(false);
    noGrad(() => {
      for (const [name, weight] of network.namedParameters()) copy(checkpoint, name, weight);
    });
    return { network: network.to(device), recipe, step: checkpoint.step, checkpoint: found };
  } finally {
    checkpoint.tensors.close();
  }
}

/** @throws RunError when the path is neither a checkpoint nor a run folder with a whole one */
function checkpointOf(path: string): string {
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

/**
 * The recipe in a run's configuration.
 *
 * @throws RunError when it is not one of this release
 */
export function recipeOf(config: unknown, where: string): Recipe {
  const parsed = z.looseObject({ recipe: recipeSchema }).safeParse(config);
  if (parsed.success) return parsed.data.recipe;
  const issue = parsed.error.issues[0]!;
  throw new RunError(
    `${where}: its configuration is not one of this release: ${issue.path.join(".") || "config"}: ` +
      `${issue.message}. Use the release that made it.`,
  );
}

/** The data that a run was trained on, undefined when its configuration names none. */
export function dataOf(config: unknown): DataSpec | undefined {
  const data = z.custom<DataSpec>(
    (value) => z.looseObject({ kind: z.string() }).safeParse(value).success,
  );
  return z.looseObject({ data }).safeParse(config).data?.data;
}

function copy({ tensors, path }: Checkpoint, name: string, weight: Tensor): void {
  const stored = prefix + name;
  const got = tensors.has(stored) ? tensors.info(stored).shape : undefined;
  if (got?.join() !== weight.shape.join())
    throw new RunError(
      `checkpoint ${path}: tensor ${stored}: got ${got ? `shape [${got.join(", ")}]` : "nothing"}, ` +
        `wanted shape [${weight.shape.join(", ")}] by its own recipe. The checkpoint is damaged or ` +
        `of another program; use another one.`,
    );
  const saved = fromBuffer(tensors.read(stored), weight.shape);
  weight.copy_(saved);
  saved.free();
}
