import { setThreads } from "@odis/torch";
import {
  resolveRecipe,
  type ModelSize,
  recipeLayers,
} from "../../packages/odis/dist/recipe/index.js";
import { createState, trainOn } from "../../packages/odis/dist/train/index.js";
import { midRunValues, syntheticBatch } from "./workload.js";

/** What one process of the bench `large` prints. */
export interface LargeReport {
  readonly parameters: number;
  /** bytes, of the whole process */
  readonly peakRss: number;
  readonly seconds: number;
  readonly loss: number;
  readonly gradient: number;
}

const [size, memory, threads] = process.argv.slice(2);
setThreads(Number(threads));
const recipe = resolveRecipe([
  ...recipeLayers("odis", size as ModelSize),
  {
    source: "bench",
    values: {
      views: { locals: { count: 2 } },
      // The same paths are dropped in every process: gradients can be compared.
      optim: { batch: 1, memory },
    },
  },
]);
const state = createState(recipe);
const batch = syntheticBatch(recipe);
const began = performance.now();
const { terms, gradient } = trainOn(state, batch, midRunValues(recipe));
const report: LargeReport = {
  parameters: state.student.parameters().reduce((sum, { size: count }) => sum + count, 0),
  peakRss: process.resourceUsage().maxRSS * 1024,
  seconds: (performance.now() - began) / 1000,
  loss: terms.total,
  gradient,
};
console.log(JSON.stringify(report));
