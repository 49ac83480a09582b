import { rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { runtimeInfo, setThreads } from "@odis/torch";
import { openSource } from "../../packages/odis/dist/data/index.js";
import { embed, loadModel, openStore } from "../../packages/odis/dist/search/index.js";
import type { EmbedReport } from "./embed.js";

/** Our side of the embed bench: whole stores, written to the disk. See `Contestant` for the protocol. */
const [run, images, folder, threads] = process.argv.slice(2);
setThreads(Number(threads));
const { teacher, model } = loadModel(run!);
const place = `folder:${images}`;
const out = join(folder!, "store");

for await (const line of createInterface({ input: process.stdin })) {
  rmSync(out, { recursive: true, force: true });
  const before = process.cpuUsage();
  const began = performance.now();
  const source = await openSource({ kind: "folder", place: images!, limit: Number(line) });
  const { done } = await embed({ teacher, model, source, place, out });
  const taken = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(before);
  using store = openStore(out);
  const report: EmbedReport = {
    seconds: [taken / done],
    cpu: (user + system) / 1e6 / done,
    peakRss: process.resourceUsage().maxRSS * 1024,
    versions: `Node ${process.versions.node}, LibTorch ${runtimeInfo().version}`,
    feature: [...store.vector("images", 0)],
  };
  console.log(JSON.stringify(report));
}
teacher.free();
