import { readFileSync } from "node:fs";
import type { Batch } from "../../packages/odis/dist/batches/index.js";
import {
  scheduleValuesAt,
  type ScheduleValues,
  type Recipe,
  recipeSchema,
} from "../../packages/odis/dist/recipe/index.js";

/** What is timed: files of `workloads/`, which the Python peer reads, too. */
export const workloads = ["vit-s", "vit-b", "vit-l", "small"] as const;
export type WorkloadName = (typeof workloads)[number];

export function loadRecipe(name: WorkloadName): Recipe {
  const path = new URL(`../workloads/${name}.json`, import.meta.url);
  return recipeSchema.parse(JSON.parse(readFileSync(path, "utf8")));
}

/** Schedules in the middle of a long run: nothing is frozen or warming up. */
export function midRunValues(recipe: Recipe): ScheduleValues {
  const length = { stepsPerEpoch: 1000, totalSteps: 800_000 };
  return scheduleValuesAt(recipe, length, 400_000);
}

/** Share of the patches that every other global view hides; the others hide none (mean: 15 %). */
const HIDDEN_SHARE = 0.3;

/**
 * A batch as the loader makes them, of noise: every object in the middle of every global view, every
 * other global view with hidden patches, spread evenly.
 */
export function syntheticBatch({ model, views, optim }: Recipe): Batch {
  const B = optim.batch;
  const O = views.object.count;
  const { globals, locals } = views;
  const side = globals.size / model.patch;
  const N = side * side;
  const rows = globals.count * B;
  const middle = (at: number): boolean =>
    at >= Math.floor(side / 4) && at < side - Math.floor(side / 4);

  const object = Uint8Array.from({ length: N }, (_, n) =>
    Number(middle(n % side) && middle(Math.floor(n / side))),
  );
  const guessed = Math.round(HIDDEN_SHARE * N);
  const visible = new Uint8Array(rows * O * N);
  const hidden = new Uint8Array(rows * N);
  for (let row = 0; row < rows; row += 1) {
    for (let o = 0; o < O; o += 1) visible.set(object, (row * O + o) * N);
    if (row % 2 === 1)
      for (let m = 0; m < guessed; m += 1) {
        const patch = Math.floor((m * N) / guessed);
        hidden[row * N + patch] = views.hidden.where === "object" ? object[patch]! : 1;
      }
  }
  return {
    step: 0,
    size: B,
    objects: O,
    keys: Array.from({ length: B }, (_, b) => `synthetic ${b}`),
    global: {
      views: globals.count,
      size: globals.size,
      pixels: noise(rows * 3 * globals.size ** 2),
      visible,
      hidden,
      present: new Uint8Array(rows * O).fill(1),
    },
    local: {
      views: locals.count,
      size: locals.size,
      pixels: noise(locals.count * B * 3 * locals.size ** 2),
      present: new Uint8Array(locals.count * B * O).fill(1),
    },
    stats: { wanted: 1, tries: [1, 1], absent: 0, skipped: [] },
  };
}

/** Bytes of a linear congruential generator: noise enough for a clock. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = 1;
  for (let i = 0; i < length; i += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
