// Claims the lock named by the first argument, says how it went, and keeps it until stdin ends.
import { lock } from "../../dist/core/lock.js";

try {
  lock(process.argv[2], "the folder");
  console.log("locked");
} catch {
  console.log("refused");
}
process.stdin.resume();
