import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, watch } from "node:fs";
import { join } from "node:path";
import { makeScenes } from "odis";
import { expect, it } from "vitest";
import { odis, odisProgram } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";
import { scratchFolder } from "../scratch.js";
import { bytesOf } from "./bytes.js";

const scratch = scratchFolder();
const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };

/** Runs it until something has happened so many times in the store's folders, then kill -9. */
async function killed(words: readonly string[], store: string, events: number): Promise<boolean> {
  const child = spawn(process.execPath, [odisProgram, ...words], { stdio: "ignore" });
  const ended = once(child, "exit");
  let count = 0;
  const watchers = [store, join(store, "shards")].map((folder) =>
    watch(folder, (_, name) => {
      if (name?.includes("lock") || existsSync(join(store, "lock", name ?? ""))) return;
      count += 1;
      if (count === events) child.kill("SIGKILL");
    }),
  );
  const [, signal] = await ended;
  for (const one of watchers) one.close();
  return signal === "SIGKILL";
}

it("a store that was killed at ten moments is, byte for byte, the one that nobody disturbed", async () => {
  const { train } = await makeScenes(join(scratch(), "scenes"), { train: 1600, test: 1 });
  const place = `coco:${train.images},${train.annotations}`;
  const { path } = randomRun(scratch(), "odis", views);
  const [calm, wild] = [join(scratch(), "calm"), join(scratch(), "wild")];
  expect(odis(["embed", path, place, "--out", calm, "--threads", "1"]).code).toBe(0);
  const words = ["embed", path, place, "--out", wild, "--threads", "1"];
  mkdirSync(join(wild, "shards"), { recursive: true });
  // The shards have twice as many events as these together, so that none comes to its end.
  for (let events = 1; events <= 10; events += 1)
    expect(await killed(words, wild, events), `killed at event ${events}`).toBe(true);
  const made = bytesOf(wild);
  expect(made).not.toEqual(bytesOf(calm));
  const last = odis(words);
  expect(last.code).toBe(0);
  expect(bytesOf(wild)).toEqual(bytesOf(calm));
}, 120_000);
