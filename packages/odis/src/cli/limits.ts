import { availableParallelism } from "node:os";
import { integer } from "./options.js";

/** More threads than this only get into each other's way, and thousands end the process. */
const mostThreads = Math.max(64, 4 * availableParallelism());

/** `--threads`, as every command has it that computes. */
export const threadsOption = (remark = "") =>
  integer({
    help: `threads of the engine${remark} (default: all cores)`,
    min: 1,
    max: mostThreads,
  });

/** `--workers` */
export const workersOption = () =>
  integer({
    help: "threads that prepare images; they change only the speed (default: one per core)",
    min: 1,
    max: mostThreads,
  });

/** Pixels; a side larger than this is a slip, and takes gigabytes an image. */
export const longestSide = 4096;
