import { spawnSync } from "node:child_process";
import { shellWord } from "../../packages/odis/dist/core/index.js";
import { local } from "./places.js";

/** A command of odis that is a part of an experiment. */
export interface Stage {
  readonly title: string;
  /** what stands behind `odis` */
  readonly words: readonly string[];
}

/**
 * Runs commands of odis one after the other, in processes of their own, until one fails. Each is printed before it
 * begins, as it can be typed, and its time after it.
 *
 * @returns exit status: 0, or that of the one that failed
 */
export function runStages(stages: readonly Stage[]): number {
  const program = local("../../packages/odis/dist/cli/main.js");
  for (const { title, words } of stages) {
    console.error(`\n${title}: ${["odis", ...words].map(shellWord).join(" ")}`);
    const began = performance.now();
    const { status } = spawnSync(process.execPath, [program, ...words], { stdio: "inherit" });
    if (status !== 0) return status ?? 1;
    console.error(`${title}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  return 0;
}
