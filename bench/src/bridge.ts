import { call, ones, setThreads, type Tensor, tensorScope } from "@odis/torch";
import { median } from "./measure.js";
import { duration, printTable } from "./table.js";

/** Calls per sample: one call is shorter than the clock is fine. */
const CALLS = 2000;
const SAMPLES = 15;

/** Cost of a call from TypeScript into the engine, on tensors so small that the work is nothing. */
export function benchBridge(): void {
  using _scope = tensorScope();
  setThreads(1);
  const x = ones([4]);
  const calls: readonly (readonly [string, () => Tensor])[] = [
    ["add (method)", () => x.add(x)],
    ["add (by schema name)", () => call("aten::add.Tensor", x, x, 1) as Tensor],
    ["view", () => x.reshape([2, 2])],
  ];
  printTable(`bridge: one call and the release of its result, median of ${SAMPLES} x ${CALLS}`, [
    ["call", "time"],
    ...calls.map(([name, run]) => [name, duration(perCall(run))]),
  ]);
}

function perCall(run: () => Tensor): number {
  const sample = (): number => {
    const began = performance.now();
    for (let i = 0; i < CALLS; i += 1) run().free();
    return (performance.now() - began) / 1000 / CALLS;
  };
  sample(); // compiles
  return median(Array.from({ length: SAMPLES }, sample));
}
