import { call, noGrad, setThreads, type Tensor, tensorScope, zeros } from "@odis/torch";
import { composedAttention } from "../../packages/odis/dist/model/index.js";
import { interleaved, median } from "./measure.js";
import { duration, printTable } from "./table.js";
import { loadRecipe, workloads } from "./workload.js";

/** Both attentions, forward and backward, on the shapes of the step benches. */
export function benchAttention(threads: number): void {
  setThreads(threads);
  const rows = workloads.flatMap((name) => {
    const { model, views, optim } = loadRecipe(name);
    return [views.globals, views.locals].map(({ count, size }) => {
      const shape = [count * optim.batch, (size / model.patch) ** 2 + 1, 3 * model.dim] as const;
      const [fused, composed] = compare(shape, model.heads);
      return [
        `[${shape.join(", ")}], ${model.heads} heads`,
        duration(fused),
        duration(composed),
        (composed / fused).toFixed(2),
      ];
    });
  });
  printTable(`attention: forward + backward, ${threads} threads, median of 15 in turn`, [
    ["q, k, v", "fused", "composed", "ratio"],
    ...rows,
  ]);
}

function compare(shape: readonly number[], heads: number): [number, number] {
  using _scope = tensorScope();
  const qkv = noGrad(() => zeros(shape).normal_()).requiresGrad_();
  const run = (attend: () => Tensor) => (): void => {
    using _inner = tensorScope();
    attend().sum().backward();
    qkv.grad = undefined;
  };
  const [fused, composed] = interleaved(
    [
      run(() => call("odis::attention", qkv, heads, null, 0) as Tensor),
      run(() => composedAttention(qkv, heads)),
    ],
    15,
    2,
  );
  return [median(fused!), median(composed!)];
}
