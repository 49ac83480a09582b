// One of the processes that `runProcesses` starts. Rank 1 is killed at once; rank 0 lives on for so many
// ms (argv 2), writes a file (argv 3) and ends with code 4. "met" (argv 4): both say first that they have met.
import { writeFileSync } from "node:fs";

const [, , ms, file, met] = process.argv;
if (met === "met") await new Promise((sent) => process.send({ met: true }, sent));
if (process.env.RANK === "1") process.kill(process.pid, "SIGKILL");
await new Promise((done) => setTimeout(done, Number(ms)));
writeFileSync(file, "outlived");
process.exitCode = 4;
await new Promise((sent) => process.send({ told: true }, sent));
