// What two steps of a recipe take at their peak, measured: `node peak-memory.mjs RECIPE-JSON` prints
// the bytes that the process grew by.
import { setThreads } from "@odis/torch";
import { recipeSchema, scheduleValuesAt } from "../../dist/recipe/index.js";
import { createState, trainOn } from "../../dist/train/index.js";

function steps(recipe, count) {
  const { views, optim, model } = recipe;
  const { globals, locals, object } = views;
  const [B, G, L, O] = [optim.batch, globals.count, locals.count, object.count];
  const N = (globals.size / model.patch) ** 2;
  const batch = {
    step: 0,
    size: B,
    objects: O,
    keys: Array.from({ length: B }, (_, b) => `image ${b}`),
    global: {
      views: G,
      size: globals.size,
      pixels: new Uint8Array(G * B * 3 * globals.size ** 2).fill(100),
      visible: new Uint8Array(G * B * O * N).fill(1),
      // As drawn on average: 15 of 100 patches.
      hidden: Uint8Array.from({ length: G * B * N }, (_, n) => Number(n % 20 < 3)),
      present: new Uint8Array(G * B * O).fill(1),
    },
    local: {
      views: L,
      size: locals.size,
      pixels: new Uint8Array(L * B * 3 * locals.size ** 2).fill(100),
      present: new Uint8Array(L * B * O).fill(1),
    },
    stats: { tries: [1, 1], absent: 0, skipped: [] },
  };
  const before = process.memoryUsage.rss();
  const state = createState(recipe);
  const values = scheduleValuesAt(recipe, { stepsPerEpoch: 10, totalSteps: 1000 }, 500);
  for (let step = 0; step < count; step += 1) trainOn(state, batch, values);
  return process.resourceUsage().maxRSS * 1024 - before;
}

setThreads(1);
const tiny = { dim: 16, depth: 1, heads: 2, patch: 8 };
steps(
  recipeSchema.parse({
    model: tiny,
    head: { hidden: 16, bottleneck: 8, prototypes: 16 },
    views: { globals: { size: 24 }, locals: { size: 16 } },
    optim: { batch: 2 },
  }),
  1, // the engine's own start
);
console.log(steps(recipeSchema.parse(JSON.parse(process.argv[2])), 2));
