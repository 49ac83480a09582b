import { autocast, deviceInfo, ones, runtimeInfo, synchronize, tidy } from "@odis/torch";
import { Contestant } from "./contestant.js";
import { stepFlops } from "../../packages/odis/dist/train/index.js";
import { readTokens } from "./flops.js";
import { median } from "./measure.js";
import { local } from "./places.js";
import { percent, printTable } from "./table.js";
import { loadRecipe, syntheticBatch, type WorkloadName } from "./workload.js";

/** One row of the table: a network at a batch, ours beside the peers that are asked for. */
export interface DeviceRow {
  readonly workload: WorkloadName;
  readonly batch: number;
  readonly memory?: "keep" | "recompute" | "stream";
  readonly peers: readonly ("eager" | "compiled")[];
}

export interface DeviceBenchOptions {
  readonly device: string;
  /** the Python that has PyTorch */
  readonly python: string;
  readonly rounds: number;
  readonly stepsPerBlock: number;
}

/** Rate of a large matrix product in bfloat16, FLOP/s: what a step can be a share of. */
export function matrixRate(device: string, side = device === "cpu" ? 1024 : 8192): number {
  return tidy(() => {
    const [a, b] = [ones([side, side], { device }), ones([side, side], { device })];
    // Zeros and ones cost less power than real numbers: the card would clock higher.
    for (const matrix of [a, b]) matrix.normal_(0, 1);
    const [x, y] = [a.to({ dtype: "bfloat16" }), b.to({ dtype: "bfloat16" })];
    const seconds = Array.from({ length: 5 }, () => {
      const count = device === "cpu" ? 1 : 20;
      synchronize(device);
      const began = performance.now();
      for (let i = 0; i < count; i += 1)
        tidy(() => void autocast(device, "bfloat16", () => x.matmul(y)));
      synchronize(device);
      return (performance.now() - began) / 1000 / count;
    });
    return (2 * side ** 3) / median(seconds);
  });
}

/** Times training steps in bfloat16 on a device, ours and the peers' in turn, and prints a table. */
export async function benchDevice(
  rows: readonly DeviceRow[],
  options: DeviceBenchOptions,
): Promise<void> {
  const { device } = options;
  const peak = matrixRate(device);
  const { version } = runtimeInfo();
  const name = deviceInfo(device)?.name ?? "CPU";
  const head = [
    "",
    "batch",
    "who",
    "images/s",
    "step",
    "of the matrix rate",
    "memory",
    "odis over it",
  ];
  const lines: string[][] = [];
  for (const row of rows) {
    lines.push(...(await measure(row, options, peak)));
    // Again after every row: a table that comes at the end only is lost with the machine.
    printTable(
      `a training step, bfloat16 autocast, on ${name}, LibTorch ${version}; ` +
        `matrix product ${(peak / 1e12).toPrecision(3)} TFLOP/s`,
      [head, ...lines],
    );
  }
}

async function measure(
  { workload, batch, memory = "keep", peers }: DeviceRow,
  { device, python, rounds, stepsPerBlock }: DeviceBenchOptions,
  peak: number,
): Promise<string[][]> {
  const common = ["--model", workload, "--batch", `${batch}`, "--device", device, "--bfloat16"];
  const contestants = [
    new Contestant(
      memory === "keep" ? "odis" : `odis, ${memory}`,
      process.execPath,
      [local("step-server.js"), ...common, "--memory", memory],
      process.env,
    ),
    ...peers.map(
      (peer) =>
        new Contestant(
          `${peer} PyTorch`,
          python,
          [
            local("../peer/step.py"),
            "--serve",
            ...common,
            ...(peer === "compiled" ? ["--compile"] : []),
          ],
          process.env,
        ),
    ),
  ];
  const ended = new Set<Contestant>();
  const run = async (contestant: Contestant, steps: number, counted: boolean): Promise<void> => {
    if (ended.has(contestant)) return;
    try {
      await contestant.run(steps, counted);
    } catch (error) {
      // Out of memory, say: a row of its own, not the end of the table.
      console.error(error instanceof Error ? error.message : String(error));
      ended.add(contestant);
    }
  };
  for (const contestant of contestants) await run(contestant, 3, false);
  for (let round = 0; round < rounds; round += 1)
    for (const contestant of contestants) await run(contestant, stepsPerBlock, true);
  await Promise.all(contestants.map((contestant) => contestant.end()));

  const base = loadRecipe(workload);
  const recipe = { ...base, optim: { ...base.optim, batch } };
  const flops = stepFlops(recipe, readTokens(recipe, syntheticBatch(recipe).global.hidden), true);
  const times = contestants.map(({ seconds }) =>
    seconds.length > 0 ? median(seconds) : Number.NaN,
  );
  return contestants.map((contestant, at) => {
    if (ended.has(contestant)) return [base.name, `${batch}`, contestant.name, "did not run"];
    const time = times[at]!;
    return [
      base.name,
      `${batch}`,
      contestant.name,
      (batch / time).toPrecision(4),
      `${(1000 * time).toPrecision(4)} ms`,
      // The share counts what has to be computed, whoever computes it.
      percent(flops / time / peak),
      `${(contestant.last.deviceMemory / 2 ** 30).toFixed(1)} GiB`,
      at === 0 ? "" : (time / times[0]!).toFixed(2),
    ];
  });
}
