import { dirname } from "node:path";
import { runtimeInfo } from "@odis/torch";
import { Contestant, inTurn, ratioOver } from "./contestant.js";
import { stepFlops } from "../../packages/odis/dist/train/index.js";
import { everyToken, readTokens } from "./flops.js";
import { median } from "./measure.js";
import { local } from "./places.js";
import { sgemmRate } from "./sgemm.js";
import { duration, megabytes, percent, printTable, rate } from "./table.js";
import { loadRecipe, syntheticBatch, type WorkloadName } from "./workload.js";

export interface PairOptions {
  readonly threads: number;
  /** blocks of each contestant, in turn */
  readonly rounds: number;
  readonly stepsPerBlock: number;
  /** whether the Python peer takes part */
  readonly peer: boolean;
}

/** Times our training step and the peer's in turn and prints both. */
export async function benchStep(name: WorkloadName, options: PairOptions): Promise<void> {
  const { threads, rounds, stepsPerBlock, peer } = options;
  const recipe = loadRecipe(name);
  const blas = runtimeInfo().blas.path;
  const env = { ...process.env, OMP_NUM_THREADS: `${threads}` };
  const ours = new Contestant(
    "odis",
    process.execPath,
    [local("step-server.js"), "--model", name, "--threads", `${threads}`],
    env,
  );
  const contestants = [ours];
  if (peer)
    contestants.push(
      new Contestant(
        "eager PyTorch",
        "/usr/bin/python3",
        [local("../peer/step.py"), "--serve", "--model", name, "--threads", `${threads}`],
        { ...env, LD_LIBRARY_PATH: dirname(blas) },
      ),
    );

  await inTurn(contestants, rounds, stepsPerBlock, 1);

  const sgemm = sgemmRate(threads);
  const { hidden } = syntheticBatch(recipe).global;
  const flops = [
    stepFlops(recipe, readTokens(recipe, hidden), true),
    stepFlops(recipe, everyToken(recipe), false),
  ];
  const { batch } = recipe.optim;
  printTable(`step: ${recipe.name}; ${threads} threads, sgemm ${rate(sgemm / 1e9, "GFLOP/s")}`, [
    ["", "median", "fastest", "images/s", "GFLOP", "GFLOP/s", "of sgemm", "peak memory"],
    ...contestants.map((contestant, index) => {
      const time = median(contestant.seconds);
      const work = flops[index]!;
      return [
        contestant.name,
        duration(time),
        duration(Math.min(...contestant.seconds)),
        (batch / time).toPrecision(3),
        (work / 1e9).toFixed(0),
        (work / time / 1e9).toFixed(0),
        percent(work / time / sgemm),
        megabytes(contestant.last.peakRss),
      ];
    }),
  ]);
  for (const contestant of contestants) {
    const steps = contestant.seconds.length;
    console.log(`  ${contestant.name}: ${steps} steps, BLAS ${contestant.last.blas.join(", ")}`);
  }
  if (contestants[1]) console.log(`  ${ratioOver(ours, contestants[1])}`);
}
