import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import {
  checkWritable,
  lock,
  makeFolder,
  plain,
  replaceText,
  RunError,
  namesIn,
} from "../core/index.js";
import type { ProgressStream } from "../run/index.js";
import { executeRuns } from "./execute.js";
import { Overview } from "./overview.js";
import type { Plan } from "./plan.js";
import { reportPage } from "./page.js";
import { collect, type ReadRuns } from "./collect.js";
import type { ComparisonWithCurves, Comparison } from "./results.js";
import { type Machine, planRuns } from "./runs.js";
import { markdown } from "./tables.js";

export interface CompareOptions extends Machine {
  readonly plan: Plan;
  /** folder of everything: `runs/`, `records/`, `compare.json`, `table.md`, `report.html` */
  readonly out: string;
  /** the JavaScript file that is the command line; every run is a process of its own */
  readonly program: string;
  readonly stop: { requested(): Promise<boolean> };
  readonly onChild?: (child: ChildProcess | undefined) => void;
  readonly progress: ProgressStream;
}

export interface CompareResult {
  readonly comparison: Comparison;
  /** false when it was asked to stop */
  readonly finished: boolean;
  readonly report: string;
  readonly table: string;
}

/**
 * Trains and evaluates every row of a plan with every seed at equal compute, and writes what came
 * out, after each run anew. Called again, it goes on where it was: finished runs stay.
 *
 * @throws ConfigError, RunError before anything runs, for all that can be known then
 */
export async function compareRecipes(options: CompareOptions): Promise<CompareResult> {
  const { plan, out, program, stop, progress, onChild = () => undefined } = options;
  const runs = planRuns(plan, out, options);
  checkWritable(out, "comparison", "Choose another --out.");
  checkOwn(out);
  makeFolder(out);
  const held = lock(join(out, "lock"), `comparison ${out}`);
  try {
    const overview = new Overview(runs, out, progress);
    const known: ReadRuns = new Map();
    const write = (): ComparisonWithCurves => {
      const collected = collect(plan, runs, out, known);
      writeResults(out, collected);
      return collected;
    };
    const finished = await executeRuns(runs, {
      out,
      program,
      stop,
      onChild,
      overview,
      onRun: write,
    });
    const { comparison } = write();
    return { comparison, finished, ...resultFiles(out) };
  } finally {
    held[Symbol.dispose]();
  }
}

/** What a comparison's folder holds; what else lies there is somebody's, who put it beside a comparison or not. */
const own = ["lock", "runs", "records", "compare.json", "table.md", "report.html"];

/** @throws RunError when the folder holds something and no comparison */
function checkOwn(out: string): void {
  const names = namesIn(out);
  const other = names.find((name) => !own.includes(name));
  if (other === undefined || ["records", "compare.json"].some((one) => names.includes(one))) return;
  throw new RunError(
    `comparison ${plain(out)}: the folder holds other things (${plain(other)}); wanted a new or empty folder, ` +
      `or that of a comparison. Choose another --out.`,
  );
}

function resultFiles(out: string) {
  return {
    json: join(out, "compare.json"),
    table: join(out, "table.md"),
    report: join(out, "report.html"),
  };
}

function writeResults(out: string, collected: ComparisonWithCurves): void {
  const { json, table, report } = resultFiles(out);
  const { comparison } = collected;
  for (const [path, text] of [
    [json, `${JSON.stringify(comparison, null, 1)}\n`],
    [table, markdown(comparison)],
    [report, reportPage(collected)],
  ] as const)
    replaceText(path, text);
}
