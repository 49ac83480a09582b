// Waits as a training loop does until it is asked to stop; says so and ends with 0 a little later.
import { setTimeout } from "node:timers/promises";
import { Stop } from "../../dist/run/stop.js";

const stop = new Stop((signal) => console.log(`asked by ${signal}`));
console.log("ready");
while (!(await stop.requested())) await setTimeout(5);
await setTimeout(Number(process.argv[2])); // the last step and its checkpoint
console.log(`stopped by ${stop.signal}`);
stop[Symbol.dispose]();
