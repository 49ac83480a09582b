import { counted, grouped } from "../core/index.js";
import type { EvaluateRunOptions } from "../evaluate/index.js";
import type { World } from "../train/index.js";
import type { Io } from "./command.js";
import { progressLine } from "./progress.js";

/** Does this process's part of work that it may share with others. */
export type WorkSharing = <T>(work: (world: World, device: string) => Promise<T>) => Promise<T>;

/** Evaluates a run, writes its report, and says what came out; of several processes the first does. */
export async function evaluateAndReport(
  run: string,
  options: EvaluateRunOptions,
  io: Io,
  share?: WorkSharing,
): Promise<void> {
  const [{ evaluateRun, evaluateRunTogether }, { formatTable, formatVerdict, makeReport }] =
    await Promise.all([import("../evaluate/index.js"), import("../report/index.js")]);
  const say = progressLine(io);
  const shown = (size: number) => (what: string, done: number, of: number) => {
    const whose = size > 1 ? `, rank 0's share of ${size}` : "";
    say(done === of, () => `${what}: ${grouped(done)} of ${counted(of, "image")}${whose}`);
  };
  const evaluation = share
    ? await share((world, device) =>
        evaluateRunTogether(world, run, {
          ...options,
          device,
          onProgress: world.rank === 0 ? shown(world.size) : undefined,
        }),
      )
    : await evaluateRun(run, { ...options, onProgress: shown(1) });
  if (!evaluation) return;
  const { file, verdict } = await makeReport(run, {
    onMissing: (part, reason) => io.stderr.write(`report without ${part}: ${reason}\n`),
  });
  io.print(`${formatVerdict(verdict)}\n\n${formatTable(evaluation)}`);
  io.print(`report: ${file}`);
}
