import { resolve } from "node:path";
import { plain, RunError, shellWord, statOf } from "../core/index.js";
import { load, type Teacher } from "../features/index.js";
import type { Frame } from "../portable/index.js";
import { sha256, weightsOf } from "../run/index.js";
import type { StoreModel } from "./manifest.js";

/** A teacher with what a store keeps of it. */
export interface StoreTeacher {
  readonly teacher: Teacher;
  readonly model: StoreModel;
}

export interface ModelOptions {
  /** side of the network's input, pixels; default: the recipe's global views */
  readonly size?: number | undefined;
  readonly frame?: Frame | undefined;
  readonly device?: string | undefined;
}

/**
 * Loads the network that a store's vectors are made with.
 *
 * @throws RunError when there is none; ConfigError when the size does not fit
 */
export function loadModel(
  run: string,
  { size, frame = "whole", device = "cpu" }: ModelOptions = {},
): StoreTeacher {
  const teacher = load(run, { frame, device, ...(size === undefined ? {} : { size }) });
  const { recipe, width } = teacher;
  return {
    teacher,
    model: {
      from: statOf(run) === undefined ? run : resolve(run),
      sha256: sha256(weightsOf(run)),
      recipe: recipe.name,
      size: size ?? recipe.views.globals.size,
      frame,
      width,
    },
  };
}

/**
 * The network that made a store, for queries.
 *
 * @param run where it is now, if it is not where it was
 * @throws RunError when it is gone, or is another one by now
 */
export function loadStoreModel(
  store: string,
  made: StoreModel,
  {
    run = made.from,
    device,
  }: { readonly run?: string | undefined; readonly device?: string | undefined } = {},
): Teacher {
  const { size, frame } = made;
  if (run === made.from && resolve(run) === run && statOf(run) === undefined)
    throw new RunError(
      `store ${plain(store)}: the run that made it is not at ${plain(run)} any more. Say where it is: --run FOLDER`,
    );
  const { teacher, model } = loadModel(run, { size, frame, device });
  try {
    checkModel(store, made, model);
  } catch (error) {
    teacher.free();
    throw error;
  }
  return teacher;
}

/** @throws RunError naming both when vectors of the two cannot be compared */
export function checkModel(store: string, made: StoreModel, got: StoreModel): void {
  const same = (["sha256", "size", "frame"] as const).every((name) => made[name] === got[name]);
  if (same) return;
  const isTrainedOn = made.from === got.from && made.sha256 !== got.sha256;
  throw new RunError(
    `store ${plain(store)}: its vectors are of ${described(made)}; got ${described(got)}. Vectors of two ` +
      `networks cannot be compared: use the one that made it, or embed into another folder` +
      `${isTrainedOn ? ` (the run was trained on since: one of its checkpoints, ${shellWord(got.from)}/checkpoints/step-…, may be the one)` : ""}.`,
  );
}

const described = ({ from, recipe, size, frame, sha256: hash }: StoreModel): string =>
  `${plain(from)} (${plain(recipe)}, ${size} pixels, ${frame} frame, weights ${hash.slice(0, 12)})`;
