import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { scratchFolder } from "../scratch.js";
import { freePort } from "../train/processes.js";
import { launch, launchRanks, type Running, says, variables } from "./ranks.js";
import { tinyData, tinyRun } from "./tiny-run.js";

vi.setConfig({ testTimeout: 180_000 });

const scratch = scratchFolder();
let data: string;
beforeAll(async () => {
  data = await tinyData();
});
afterAll(() => rmSync(data, { recursive: true }));

const training = async (): Promise<readonly Running[]> => {
  const out = join(scratch(), "run");
  const ranks = await launchRanks(2, tinyRun(data, out, "--steps", "1000000", "--patience", "600"));
  await says(ranks[0]!, "step 1/");
  return ranks;
};

const waited = (rank: number, other: number): RegExp =>
  new RegExp(
    `^rank ${rank} of 2 has waited 30(\\.\\d)? s for rank ${other} in all-\\w+ \\d+; who does not answer within 600 s is ` +
      "taken for gone$",
    "m",
  );

describe("a process that waits for another one in the middle of a step", () => {
  it("says whom it waits for, goes on when that one does, and hears Ctrl-C meanwhile", async () => {
    const [first, second] = await training();
    second!.child.kill("SIGSTOP");
    await says(first!, "has waited");
    expect(first!.said()).toMatch(waited(0, 1));

    second!.child.kill("SIGCONT");
    const steps = (): number => first!.said().split("\nstep ").length;
    const before = steps();
    await vi.waitFor(() => expect(steps()).toBeGreaterThan(before), 60_000);

    second!.child.kill("SIGSTOP");
    await sleep(1000); // a message that was under way has come
    first!.child.kill("SIGINT");
    await says(first!, "SIGINT: saving a checkpoint after this step");
    await sleep(300); // more than one press of a key
    first!.child.kill("SIGINT");
    expect(await first!.ended).toEqual([null, "SIGINT"]);
    second!.child.kill("SIGKILL");
    await second!.ended;
  });

  it("is heard once: it saves with the others when they go on", async () => {
    const [first, second] = await training();
    second!.child.kill("SIGSTOP");
    await sleep(1000);
    first!.child.kill("SIGTERM");
    await says(first!, "SIGTERM: saving");
    second!.child.kill("SIGCONT");
    expect([await first!.ended, await second!.ended]).toEqual([
      [143, null],
      [143, null],
    ]);
    expect(first!.said()).toMatch(/\nstopped after step \d+ of 1000000; saved /);
    expect(existsSync(join(scratch(), "run", "lock"))).toBe(false);
  });

  it("says so, too, where it is the first that the others wait for", async () => {
    const [first, second] = await training();
    first!.child.kill("SIGSTOP");
    await says(second!, "has waited");
    expect(second!.said()).toMatch(waited(1, 0));
    first!.child.kill("SIGCONT");
    await sleep(1000);
    second!.child.kill("SIGTERM");
    expect([await first!.ended, await second!.ended]).toEqual([
      [143, null],
      [143, null],
    ]);
  });
});

describe("the first, before all have come", () => {
  it("says who is missing", async () => {
    const words = tinyRun(data, join(scratch(), "run"), "--steps", "4", "--batch", "6");
    const port = await freePort();
    const first = launch([...words, "--rendezvous", "600"], variables(0, 3, port));
    await says(first, "waits for");
    expect(first.said()).toMatch(/^rank 0 of 3 waits for ranks 1, 2; \d+ s left$/m);
    first.child.kill("SIGINT");
    expect(await first.ended).toEqual([null, "SIGINT"]);
  });
});
