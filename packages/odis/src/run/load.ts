import { existsSync } from "node:fs";
import { join } from "node:path";
import { fromBuffer, noGrad, type Tensor } from "@odis/torch";
import { z } from "zod";
import type { DataSpec } from "../data/index.js";
import { RunError } from "../core/index.js";
import type { Network } from "../model/index.js";
import { type Checkpoint, checkpointOf, openCheckpointOf, tensorsName } from "./checkpoint.js";
import { allFinite } from "./save.js";
import { type Recipe, recipeSchema } from "../recipe/index.js";
import { buildNetwork } from "../train/index.js";
import { exportedFile, loadExported, unknownPlace } from "./shipped.js";

/** The teacher (or student) of a run at one of its checkpoints. */
export interface LoadedNetwork {
  /** frozen; `free()` it when done */
  readonly network: Network;
  readonly recipe: Recipe;
  /** steps that were done */
  readonly step: number;
  /** the checkpoint it came from */
  readonly checkpoint: string;
}

/** The teacher of a run: see `loadNetwork`. */
export function loadTeacher(path: string, device = "cpu"): LoadedNetwork {
  return loadNetwork(path, "teacher", device);
}

/** The file of weights that such a path means: what its hash is taken of. */
export function weightsOf(path: string): string {
  const file = exportedFile(path);
  if (file !== undefined) return file;
  if (!existsSync(path)) throw unknownPlace(path);
  return join(checkpointOf(path), tensorsName);
}

/**
 * Rebuilds a network from a checkpoint alone, or from a file that odis exported.
 *
 * @param path a run folder (its newest whole checkpoint is taken), one checkpoint, a file of `odis
 *   export --format odis`, or the name of a network that comes with odis
 * @throws RunError when there is none, or when it does not fit its own configuration
 */
export function loadNetwork(
  path: string,
  side: "teacher" | "student",
  device = "cpu",
): LoadedNetwork {
  const file = exportedFile(path);
  if (file !== undefined) return loadExported(file, side, device);
  if (!existsSync(path)) throw unknownPlace(path);
  const checkpoint = openCheckpointOf(path);
  try {
    const recipe = recipeOf(checkpoint.config, checkpoint.path);
    const network = buildNetwork(recipe, side).requiresGrad_(false);
    noGrad(() => {
      for (const [name, weight] of network.namedParameters())
        copy(checkpoint, `${side}.${name}`, weight);
    });
    return {
      network: network.to(device),
      recipe,
      step: checkpoint.step,
      checkpoint: checkpoint.path,
    };
  } finally {
    checkpoint.tensors.close();
  }
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

function copy({ tensors, path }: Checkpoint, stored: string, weight: Tensor): void {
  const got = tensors.has(stored) ? tensors.info(stored).shape : undefined;
  if (got?.join() !== weight.shape.join())
    throw new RunError(
      `checkpoint ${path}: tensor ${stored}: got ${got ? `shape [${got.join(", ")}]` : "nothing"}, ` +
        `wanted shape [${weight.shape.join(", ")}] by its own recipe. The checkpoint is damaged or ` +
        `of another program; use another one.`,
    );
  const values = tensors.read(stored);
  if (!allFinite(values))
    throw new RunError(
      `checkpoint ${path}: tensor ${stored} holds values that are not finite. Use an older one.`,
    );
  const saved = fromBuffer(values, weight.shape);
  weight.copy_(saved);
  saved.free();
}
