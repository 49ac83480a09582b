import { command, path, positional } from "./command.js";

export const reportCommand = command({
  name: "report",
  summary: "Write a run's report: one HTML file with curves, scores and pictures.",
  examples: [
    ["odis report runs/first", "writes runs/first/report.html; also while the run goes on"],
  ],
  options: {
    run: positional(path({ help: "run folder", exists: "folder", required: true })),
  },
  async run({ run }, io) {
    const { writeReport } = await import("../evaluate/report.js");
    const report = await writeReport(run, {
      onMissing: (part, reason) => io.stderr.write(`report without ${part}: ${reason}\n`),
    });
    io.print(report);
    return undefined;
  },
});
