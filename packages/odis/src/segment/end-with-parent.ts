import { isMainThread, Worker, workerData } from "node:worker_threads";

// `process.exit` would wait for threads.
const end = () => process.kill(process.pid, "SIGKILL");

/**
 * Loaded first into the process that looks for objects, whose first argument is its parent's number: ends the
 * process when the parent has gone, whatever that died of. A network may keep the main thread busy for ever;
 * therefore another thread watches, too.
 */
if (isMainThread) {
  process.on("disconnect", end);
  // Schedulers signal every process: the parent lets the picture come to its end.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
  new Worker(new URL(import.meta.url), { workerData: Number(process.argv[2]) }).unref();
} else {
  setInterval(() => {
    if (process.ppid !== workerData) end();
  }, 500);
}
