import { call, noGrad, ones, setThreads, type Tensor, tensorScope, zeros } from "@odis/torch";
import { interleaved, median } from "./measure.js";
import { duration, printTable } from "./table.js";
import { loadRecipe, workloads } from "./workload.js";

/** Both attentions with one restricted row, forward and backward, on the shapes of the step benches. */
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
    ["q, k, v", "our kernel", "LibTorch's", "ratio"],
    ...rows,
  ]);
}

function compare(shape: readonly [number, number, number], heads: number): [number, number] {
  using _scope = tensorScope();
  const qkv = noGrad(() => zeros(shape).normal_()).requiresGrad_();
  const allowed = ones([shape[0], 1, shape[1]], { dtype: "bool" });
  const run = (operator: string) => (): void => {
    using _inner = tensorScope();
    (call(operator, qkv, heads, allowed, 0) as Tensor).sum().backward();
    qkv.grad = undefined;
  };
  const [fused, composed] = interleaved(
    [run("odis::attention"), run("odis::attention_composed")],
    15,
    2,
  );
  return [median(fused!), median(composed!)];
}
