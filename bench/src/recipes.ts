import { setThreads } from "@odis/torch";
import type { Settings } from "../../packages/odis/dist/core/index.js";
import {
  resolveRecipe,
  type RecipeName,
  recipeLayers,
  recipeNames,
} from "../../packages/odis/dist/recipe/index.js";
import { createState, trainOn } from "../../packages/odis/dist/train/index.js";
import { median } from "./measure.js";
import { printTable } from "./table.js";
import { midRunValues, syntheticBatch } from "./workload.js";

/** One size for all, prototypes included: what is left is the method. */
const common = {
  model: { dropPath: 0 },
  head: { prototypes: 4096, hidden: 1024 },
  views: { globals: { size: 112, scale: [0.25, 1] }, locals: { count: 4, size: 48 } },
  optim: { batch: 8, accumulate: 1 },
};

interface Contestant {
  readonly name: string;
  readonly step: () => void;
  readonly objects: number;
  readonly seconds: number[];
}

function contestant(name: string, recipeName: RecipeName, more: Settings = {}): Contestant {
  const recipe = resolveRecipe([
    ...recipeLayers(recipeName, "vit-ti"),
    { source: "bench", values: common },
    { source: "row", values: more },
  ]);
  const state = createState(recipe);
  const batch = syntheticBatch(recipe);
  const values = midRunValues(recipe);
  return {
    name,
    step: () => trainOn(state, batch, values),
    objects: recipe.views.object.count,
    seconds: [],
  };
}

/**
 * A training step of every recipe on the same views, in turn within one process, beside that of
 * ibot: ratios of paired rounds, so that a busy machine disturbs all of them alike.
 */
export function benchRecipes(threads: number, rounds: number): void {
  setThreads(threads);
  // The views of the bench carry no patches of local views.
  const plainLocals = { views: { locals: { masked: false } } };
  const contestants = [
    ...recipeNames.filter((name) => name !== "odis-multi").map((name) => contestant(name, name)),
    ...[2, 4].map((count) =>
      contestant(`odis-multi, ${count} objects`, "odis-multi", {
        views: { ...plainLocals.views, object: { count } },
      }),
    ),
    contestant("odis-multi, 4 objects, separate", "odis-multi", {
      ...plainLocals,
      model: { objectAttention: "separate" },
    }),
  ];
  for (const { step } of contestants) step();
  for (let round = 0; round < rounds; round += 1)
    for (const { step, seconds } of contestants) {
      const began = performance.now();
      step();
      seconds.push((performance.now() - began) / 1000);
    }
  const ibot = contestants.find(({ name }) => name === "ibot")!;
  const { batch } = common.optim;
  printTable(
    `recipes: vit-ti/16, 2x112 + 4x48, batch ${batch}, K 4096; ${threads} threads, median of ${rounds}`,
    [
      ["", "step", "over ibot", "images/s", "objects/s"],
      ...contestants.map(({ name, objects, seconds }) => {
        const ratios = seconds.map((time, round) => time / ibot.seconds[round]!);
        const time = median(seconds);
        return [
          name,
          `${(1000 * time).toFixed(0)} ms`,
          median(ratios).toFixed(3),
          (batch / time).toFixed(1),
          ((batch * objects) / time).toFixed(1),
        ];
      }),
    ],
  );
}
