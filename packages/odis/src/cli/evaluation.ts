import type { EvaluateRunOptions } from "../evaluate/index.js";
import type { Io } from "./command.js";

/** Evaluates a run, writes its report, and says what came out. */
export async function evaluateAndReport(
  run: string,
  options: EvaluateRunOptions,
  io: Io,
): Promise<void> {
  const [{ evaluateRun }, { formatTable, formatVerdict, makeReport }] = await Promise.all([
    import("../evaluate/index.js"),
    import("../report/index.js"),
  ]);
  const evaluation = await evaluateRun(run, {
    ...options,
    onProgress: (what, done, of) => {
      if (io.stderr.isTTY && (done % 20 === 0 || done === of))
        io.stderr.write(`\r${what}: ${done} of ${of} images${done === of ? "\n" : ""}`);
    },
  });
  const { file, verdict } = await makeReport(run, {
    onMissing: (part, reason) => io.stderr.write(`report without ${part}: ${reason}\n`),
  });
  io.print(`${formatVerdict(verdict)}\n\n${formatTable(evaluation)}`);
  io.print(`report: ${file}`);
}
