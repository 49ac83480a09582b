import { createHash } from "node:crypto";
import { tidy } from "@odis/torch";
import { plain, RunError } from "../core/index.js";
import type { DataSource } from "../data/index.js";
import type { Network } from "../model/index.js";
import type { Recipe } from "../recipe/index.js";
import type { World } from "../train/index.js";
import type { EvaluationSettings } from "./settings.js";

/** What decides the figures of an evaluation. */
interface Compared {
  readonly settings: EvaluationSettings;
  readonly recipe: Recipe;
  readonly trained: Network | undefined;
  readonly train: DataSource;
  readonly test: DataSource;
}

/** @throws RunError in all processes when they are about to evaluate different things */
export function checkSame(world: World, { settings, recipe, trained, ...sources }: Compared): void {
  if (world.size === 1) return;
  checkAlike(world, {
    settings: JSON.stringify(settings),
    // The newest checkpoint may be another one a moment later.
    network: [JSON.stringify(recipe), trained ? hashOf(trained) : "none"].join(),
    "train data": namesOf(sources.train),
    "test data": namesOf(sources.test),
  });
}

/**
 * @param parts by what they are called: "train data"
 * @throws RunError in all processes when another data set, called so, is not the same in all of them
 */
export function checkSameSet(
  world: World,
  name: string,
  parts: Readonly<Record<string, DataSource>>,
): void {
  if (world.size === 1) return;
  const named = Object.entries(parts).map(([part, source]) => [
    `${part} of ${plain(name)}`,
    namesOf(source),
  ]);
  checkAlike(world, Object.fromEntries(named));
}

/** SHA-256 of the names of its images and classes, hex. */
function namesOf(source: DataSource): string {
  const names = createHash("sha256").update(JSON.stringify([source.size, source.classes]));
  for (let index = 0; index < source.size; index += 1) names.update(`${source.key(index)}\n`);
  return names.digest("hex");
}

/** @param mine what must be the same in all processes, by what it is called */
function checkAlike(world: World, mine: Readonly<Record<string, string>>): void {
  const [first, ...others] = world.shareValues(mine);
  for (const [at, other] of others.entries()) {
    const differs = Object.keys(mine).filter((name) => other[name] !== first![name]);
    if (differs.length > 0)
      throw world.everywhere(
        new RunError(
          `rank ${at + 1} of ${world.size} was started for another evaluation than rank 0: other ` +
            `${differs.join(", ")}. Start all processes with the same line and data` +
            `${differs.includes("network") ? ", while nobody trains the run" : ""}.`,
        ),
      );
  }
}

/** SHA-256 of a network's weights, hex. */
function hashOf(network: Network): string {
  const hash = createHash("sha256");
  for (const [name, weight] of network.namedParameters())
    hash.update(`${name} ${weight.shape.join()}\n`).update(tidy(() => weight.toFloat32()));
  return hash.digest("hex");
}
