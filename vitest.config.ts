import { defineConfig } from "vitest/config";
import { SummaryReporter } from "./scripts/summary-reporter.js";

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts"],
    // The bridge is a native addon: one process per file, so that a crash names its file.
    pool: "forks",
    reporters: ["default", new SummaryReporter()],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two test files share the machine's cores: one LibTorch thread each keeps both honest.
    env: { OMP_NUM_THREADS: "1" },
  },
});
