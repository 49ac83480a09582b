import { setThreads, tensorScope, zeros } from "@odis/torch";
import { repeat } from "./measure.js";
import { printTable, rate } from "./table.js";

/** Side of the square product that all shares refer to. */
const SIDE = 1024;

/** Best rate of a 1024 x 1024 x 1024 float32 matrix product, FLOP/s. */
export function sgemmRate(threads: number, repeats = 30): number {
  using _scope = tensorScope();
  setThreads(threads);
  const [a, b] = [zeros([SIDE, SIDE]).add(0.5), zeros([SIDE, SIDE]).add(0.25)];
  const taken = repeat(() => a.matmul(b).free(), repeats, 5);
  return (2 * SIDE ** 3) / Math.min(...taken);
}

export function benchSgemm(threads: number): void {
  printTable(`sgemm: ${SIDE} x ${SIDE} x ${SIDE}, float32, best of 30`, [
    ["threads", "rate"],
    ...[1, threads].map((count) => [`${count}`, rate(sgemmRate(count) / 1e9, "GFLOP/s")]),
  ]);
}
