// Waits as a training loop does until it is asked to stop; says so and ends with 0 a little later.
// "idle": has nothing to lose. "talks": writes to stderr all the time. "late": computes for so long at a stretch, and
// holds nothing any more when it has. "ends": the same, and the stop is over then, too. "again": the same, and it
// holds anew at once.
import { setTimeout } from "node:timers/promises";
import { Stop } from "../../dist/run/stop.js";

const [workMs, how] = process.argv.slice(2);
const stop = new Stop((signal) => console.log(`asked by ${signal}`));
const hold = how === "idle" ? undefined : stop.hold();
console.log("ready");
if (["late", "ends", "again"].includes(how)) {
  const end = performance.now() + Number(workMs);
  while (performance.now() < end);
  hold[Symbol.dispose]();
}
if (how === "ends") stop[Symbol.dispose]();
if (how === "again") stop.hold();
while (!(await stop.requested())) {
  if (how === "talks") process.stderr.write("step\n");
  await setTimeout(5);
}
await setTimeout(Number(workMs)); // the last step and its checkpoint
console.log(`stopped by ${stop.signal}`);
stop[Symbol.dispose]();
