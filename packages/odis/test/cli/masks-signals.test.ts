import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { childrenOf, launch, type Running } from "../run/ranks.js";
import { scratchFolder } from "../scratch.js";
import { fixture } from "../segment/networks.js";
import { odis } from "./odis.js";

const scratch = scratchFolder();
const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
const waits = { timeout: 60_000, interval: 5 };

const at = (name: string): string => join(scratch(), name);
const words = (name: string, maker: string, jobs: number): readonly string[] =>
  ["masks", `coco:${photos}`, "--with", maker].concat("--out", at(name), "--jobs", `${jobs}`);

const runs: Running[] = [];
/** What a failed test leaves keeps no core busy for others: finders end with their parent. */
afterEach(() => {
  for (const { child } of runs.splice(0)) if (stateOf(child.pid!) !== "X") child.kill("SIGKILL");
});

/** In a group of its own, as a shell makes one. */
function started(maker = "regions", jobs = 1): Running {
  const run = launch(words("stopped.json", maker, jobs), {}, ["setsid"]);
  runs.push(run);
  return run;
}

/** What a terminal, and `timeout`, do. */
const signalGroup = ({ child }: Running, signal: NodeJS.Signals) =>
  process.kill(-child.pid!, signal);

const finders = async ({ child }: Running, wanted: number): Promise<readonly number[]> => {
  await vi.waitFor(
    () => expect(childrenOf(child.pid!).length).toBeGreaterThanOrEqual(wanted),
    waits,
  );
  return childrenOf(child.pid!);
};

/** The journal has a line for the job, then one for each picture. */
const lines = (wanted: number): Promise<void> =>
  vi.waitFor(
    () =>
      expect(readFileSync(at("stopped.json.part"), "utf8").split("\n").length).toBeGreaterThan(
        wanted,
      ),
    waits,
  );

/** Goes on with what was stopped: to the same file as without a stop. */
function goesOn(jobs: number): void {
  const files = ["stopped.json", "whole.json"].map((name) => {
    expect(odis(words(name, "regions", jobs)).code).toBe(0);
    return readFileSync(at(name), "utf8");
  });
  expect(files[0]).toBe(files[1]);
}

async function endsAsStopped(run: Running, code: number, line: RegExp): Promise<void> {
  const ended = await run.ended;
  expect({ ended, said: run.said() }).toMatchObject({ ended: [code, null] });
  expect(run.said()).toMatch(/^SIG\w+: ends after this picture; what was found is kept\.$/m);
  expect(run.said()).toMatch(line);
  expect(run.said()).not.toContain("odis masks:");
}

/** Until a process is no more; what nobody has asked after yet counts as none. */
const gone = (pid: number): Promise<void> =>
  vi.waitFor(() => expect(stateOf(pid)).toMatch(/^[ZX]$/), waits);

function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)![0]!;
  } catch {
    return "X";
  }
}

/** Clock ticks that the main thread of a process has computed for. */
const computed = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/task/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[11]);

vi.setConfig({ testTimeout: 180_000 });

describe("odis masks, stopped", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s to the whole group during a picture: it is kept", async (signal, code) => {
    const run = started();
    await lines(2);
    signalGroup(run, signal);
    await endsAsStopped(run, code, /^stopped after [1-5] of 6 images; go on with: odis masks .*$/m);
    goesOn(1);
  });

  test.each([
    [1, 0],
    [1, 60],
    [1, 200],
    [2, 0],
    [2, 60],
    [2, 200],
  ])("SIGINT to the whole group, %i finders begun, %i ms later", async (begun, delay) => {
    const run = started("regions", 2);
    await finders(run, begun);
    await sleep(delay);
    signalGroup(run, "SIGINT");
    await endsAsStopped(run, 130, /^stopped( after \d of 6 images)?; go on with: odis masks .*$/m);
    goesOn(2);
  });

  test.each([
    ["opens", 0],
    ["is at a picture", 2],
  ])("SIGTERM to every process, as schedulers do, while the finder %s", async (_when, journal) => {
    const run = started();
    const [finder] = await finders(run, 1);
    if (journal > 0) await lines(journal);
    for (const pid of [finder!, run.child.pid!]) process.kill(pid, "SIGTERM");
    await endsAsStopped(run, 143, /^stopped( after [1-5] of 6 images)?; go on with: odis masks/m);
    goesOn(1);
  });

  test.each([[["SIGKILL"]], [["SIGINT", "SIGINT"]]] as const)(
    "%j to the group with a network that never ends: its process goes, too",
    async (signals) => {
      const run = started(fixture("hostile-endless.onnx"));
      const [finder] = await finders(run, 1);
      await lines(1);
      const before = computed(finder!);
      await vi.waitFor(() => expect(computed(finder!) - before).toBeGreaterThan(100), waits);
      for (const [at, signal] of signals.entries()) {
        if (at > 0) {
          await vi.waitFor(() => expect(run.said()).toContain("SIGINT: ends after"), waits);
          await sleep(300); // more than one press of a key
        }
        signalGroup(run, signal);
      }
      expect(await run.ended).toEqual([null, signals.at(-1)]);
      await gone(finder!);
    },
  );
});
