import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { type Batch, imagesOf } from "../../src/batches/batch.js";
import type { Length } from "../../src/recipe/schedules.js";
import type { Recipe } from "../../src/recipe/schema.js";
import type { StepReport } from "../../src/train/step.js";

/** Some training steps. */
export interface Job {
  readonly recipe: Recipe;
  readonly length: Length;
  /** whole batches, one a step from step `from` */
  readonly batches: readonly Batch[];
  readonly from?: number;
  /** default: the recipe's own */
  readonly weights?: ReadonlyMap<
    string,
    { readonly data: Float32Array; readonly shape: readonly number[] }
  >;
}

/** What became of them. */
export interface Outcome {
  readonly reports: readonly StepReport[];
  /** everything that a checkpoint would keep after each step, by name */
  readonly tensors: readonly ReadonlyMap<string, Float32Array>[];
  readonly updates: Readonly<Record<string, number>>;
  readonly order: readonly string[];
  /** bytes of the optimiser's moments in this process */
  readonly moments: number;
  /** messages and bytes that this process sent, over all steps */
  readonly traffic: { readonly messages: number; readonly bytes: number };
}

/** What a process gets: its images only. */
export interface Task extends Omit<Job, "batches"> {
  readonly batches: readonly Batch[];
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Trains in real processes that meet over Gloo, each with its share of every batch. @returns by job, by rank */
export async function trainInProcesses(
  jobs: readonly Job[],
  size: number,
): Promise<readonly (readonly Outcome[])[]> {
  const folder = mkdtempSync(join(tmpdir(), "odis-world-"));
  const port = await freePort();
  try {
    const outcomes = await Promise.all(
      Array.from({ length: size }, async (_, rank) => {
        const tasks = jobs.map((job): Task => {
          const share = job.recipe.optim.batch / size;
          return {
            ...job,
            batches: job.batches.map((batch) => imagesOf(batch, rank * share, share)),
          };
        });
        const path = join(folder, `rank-${rank}`);
        writeFileSync(path, serialize(tasks));
        const script = new URL("world-process.mjs", import.meta.url).pathname;
        const child = spawn(process.execPath, [script, path], {
          stdio: ["ignore", "inherit", "inherit"],
          env: {
            ...process.env,
            RANK: `${rank}`,
            WORLD_SIZE: `${size}`,
            LOCAL_RANK: `${rank}`,
            MASTER_ADDR: "127.0.0.1",
            MASTER_PORT: `${port}`,
          },
        });
        const code = await new Promise((resolve) => child.once("exit", resolve));
        if (code !== 0) throw new Error(`process ${rank} of ${size} ended with ${String(code)}`);
        return deserialize(readFileSync(`${path}.done`)) as Outcome[];
      }),
    );
    return jobs.map((_, job) => outcomes.map((ofRank) => ofRank[job]!));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
