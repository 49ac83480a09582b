import { execFile } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** How a child process ended. */
export interface Ended {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

const here = dirname(fileURLToPath(import.meta.url));

/** Runs a program that imports "@odis/torch" in a real process of its own. */
export function runModule(source: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return run(["--input-type=module", "--eval", source], env);
}

/** Runs node with these arguments. */
export function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd: here, env: { ...process.env, OMP_NUM_THREADS: "1", ...env } };
    execFile(process.execPath, args, options, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? error.signal ?? null) : 0, stdout, stderr }),
    );
  });
}
