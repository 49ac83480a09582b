import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LargeReport } from "./large-step.js";
import { duration, megabytes, printTable } from "./table.js";

/** How memory is saved, with what it is called in the table. */
const ways = {
  keep: "all activations kept",
  recompute: "optim.memory=recompute",
  stream: "optim.memory=stream",
} as const;

/** One step of a large network at batch 1, by several ways of saving memory. */
export function benchLarge(
  size: "vit-l" | "vit-g",
  threads: number,
  how: readonly (keyof typeof ways)[],
): void {
  const script = fileURLToPath(new URL("large-step.js", import.meta.url));
  const rows = how.map((way) => {
    const text = execFileSync(process.execPath, [script, size, way, `${threads}`], {
      encoding: "utf8",
    });
    const report: LargeReport = JSON.parse(text);
    return [
      ways[way],
      `${(report.parameters / 1e6).toFixed(0)} M`,
      megabytes(report.peakRss),
      duration(report.seconds),
      report.loss.toFixed(5),
      report.gradient.toFixed(5),
    ];
  });
  printTable(`large: odis ${size}, batch 1, 2x224 + 2x96, the first step; ${threads} threads`, [
    ["", "weights of the student", "peak memory", "step", "loss", "gradient norm"],
    ...rows,
  ]);
}
