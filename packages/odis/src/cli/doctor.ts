import { exitCodes } from "../core/index.js";
import { command } from "./command.js";

export const doctorCommand = command({
  name: "doctor",
  summary: "Look at this machine: engine, BLAS, threads, speed, devices, and what to mend.",
  examples: [["odis doctor", "takes a few seconds; ends with 5 when odis cannot run"]],
  options: {},
  async run(_values, io) {
    const { diagnose } = await import("./diagnose.js");
    const { lines, problems, usable } = await diagnose();
    for (const [name, value] of lines) io.print(`${name.padEnd(12)}${value}`);
    for (const problem of problems) io.print(`! ${problem}`);
    if (problems.length === 0) io.print("everything is as it should be");
    return usable ? exitCodes.ok : exitCodes.engine;
  },
});
