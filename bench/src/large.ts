import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LargeReport } from "./large-step.js";
import { duration, megabytes, printTable } from "./table.js";

/** One step of a large network at batch 1, with and without activation checkpointing. */
export function benchLarge(size: "vit-l" | "vit-g", threads: number): void {
  const script = fileURLToPath(new URL("large-step.js", import.meta.url));
  const rows = ["keep", "recompute"].map((how) => {
    const text = execFileSync(process.execPath, [script, size, how, `${threads}`], {
      encoding: "utf8",
    });
    const report: LargeReport = JSON.parse(text);
    return [
      how === "keep" ? "all activations kept" : "optim.recompute",
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
