import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { scratchFolder } from "../scratch.js";
import { launch, type Running, says, variables } from "./ranks.js";
import { tinyData, tinyRun } from "./tiny-run.js";

vi.setConfig({ testTimeout: 180_000 });

const spaces = [`odis-a-${process.pid}`, `odis-b-${process.pid}`] as const;
const ip = (line: string): boolean => spawnSync("ip", line.split(" ")).status === 0;

/** Two network namespaces with a cable between them, 10.77.0.1 and 10.77.0.2. */
function lay(): boolean {
  const [a, b] = spaces;
  const cable = `link add odis0 netns ${a} type veth peer name odis1 netns ${b}`;
  const ends = spaces.flatMap((space, at) => [
    `-n ${space} addr add 10.77.0.${at + 1}/24 dev odis${at}`,
    `-n ${space} link set odis${at} up`,
    `-n ${space} link set lo up`,
  ]);
  return [`netns add ${a}`, `netns add ${b}`, cable, ...ends].every(ip);
}

const remove = (): void => {
  for (const space of spaces) ip(`netns del ${space}`);
};

const laid = lay();
if (!laid) remove();
const scratch = scratchFolder();
let data: string;
beforeAll(async () => {
  data = await tinyData();
});
afterAll(() => {
  remove();
  rmSync(data, { recursive: true });
});

function launchIn(rank: number): Running {
  const words = tinyRun(data, join(scratch(), "run"), "--steps", "1000000", "--patience", "5");
  const env = { ...variables(rank, 2, 29_500), MASTER_ADDR: "10.77.0.1" };
  const within = ["ip", "netns", "exec", spaces[rank]!];
  return launch(words, { ...env, GLOO_SOCKET_IFNAME: `odis${rank}` }, within);
}

describe("a network that goes away", () => {
  // Namespaces want root and iproute2; containers mostly forbid them.
  it.skipIf(!laid)("ends both sides, each with a sentence", async () => {
    const ranks = [0, 1].map(launchIn);
    await says(ranks[0]!, "step 1/");
    expect(ip(`-n ${spaces[1]} link set odis1 down`)).toBe(true);
    const codes = await Promise.all(ranks.map(async ({ ended }) => (await ended)[0]));
    expect(codes).toEqual([4, 4]);
    for (const [rank, { said }] of ranks.entries())
      expect(said()).toMatch(
        new RegExp(
          `^odis pretrain: rank ${rank} of 2 failed in all-\\w+ \\d+: rank ${1 - rank} does not answer \\(`,
          "m",
        ),
      );
  });
});
