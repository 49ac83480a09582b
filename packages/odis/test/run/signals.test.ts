import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { odis, odisProgram } from "../cli/odis.js";
import { onOddDisk } from "../odd-disk.js";
import { scratchFolder } from "../scratch.js";
import { canMount } from "../small-disk.js";
import { tinyData, tinyRun } from "./tiny-run.js";

vi.setConfig({ testTimeout: 300_000 });

const scratch = scratchFolder();
let data: string;
beforeAll(async () => {
  data = await tinyData();
});
afterAll(() => rmSync(data, { recursive: true }));

const run = (): string => join(scratch(), "run");
const words = (...more: string[]): string[] => tinyRun(data, run(), "--steps", "100000", ...more);
const checkpoints = (): readonly string[] => readdirSync(join(run(), "checkpoints"));
const log = (): string => readFileSync(join(run(), "log.txt"), "utf8");

function start(env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [odisProgram, ...words()], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      said += String(text);
    });
  const says = async (text: string): Promise<void> => {
    while (!said.includes(text)) await once(child.stderr, "data");
  };
  return { child, says, said: () => said };
}
const ended = async (child: ChildProcess): Promise<readonly unknown[]> => once(child, "close");

describe("a run that trains", () => {
  it.each([
    ["SIGTERM", 143],
    ["SIGHUP", 129],
    ["SIGINT", 130],
  ] as const)("is saved after %s, and ends with %d", async (signal, exitCode) => {
    const { child, says, said } = start();
    await says("step 1/");
    child.kill(signal);
    expect(await ended(child)).toEqual([exitCode, null]);
    const [, step] = /\nstopped after step (\d+) of 100000; saved /.exec(said()) ?? [];
    expect(said()).toContain(`go on with: odis pretrain --data`);
    expect(checkpoints()).toEqual([`step-${step!.padStart(8, "0")}`]);
    expect(log()).toContain(`stopped after step ${step} (${signal})`);
  });

  it("is saved when nobody reads what it says: 2>&1 | head -1", async () => {
    const line = [process.execPath, odisProgram, ...words()].map((word) => `'${word}'`).join(" ");
    const child = spawn("bash", ["-c", `${line} 2>&1 | head -1; exit \${PIPESTATUS[0]}`]);
    expect(await ended(child)).toEqual([141, null]);
    expect(checkpoints()).toHaveLength(1);
    expect(log()).toMatch(/stopped after step \d+ \(SIGPIPE\)/);
  });

  it("is saved when its terminal is closed", async () => {
    // script(1) gives it a terminal, and closes it when it ends itself.
    const line = [process.execPath, odisProgram, ...words()].join(" ");
    const terminal = spawn("script", ["-qfc", line, "/dev/null"], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    let said = "";
    terminal.stdout.on("data", (text) => {
      said += String(text);
    });
    while (!said.includes("step ")) await once(terminal.stdout, "data");
    terminal.kill("SIGKILL"); // closes it
    await ended(terminal);
    await vi.waitFor(() => expect(log()).toMatch(/stopped after step \d+ \(SIG(HUP|PIPE)\)/), {
      timeout: 60_000,
    });
    expect(checkpoints()).toHaveLength(1);
  });
});

describe("a drive that does not answer", () => {
  it("keeps nobody from stopping a run that waits for a picture; what was done is saved", async () => {
    const { child, says } = start(onOddDisk({ slow: "/7.png" }));
    await says("step 1/");
    child.kill("SIGINT");
    // It cannot wait for the thread that reads, so the signal itself ends it: 130 for a shell.
    expect(await ended(child)).toEqual([null, "SIGINT"]);
    expect(checkpoints()).toHaveLength(1);
    expect(odis(words("--steps", "2")).code).toBe(4); // another length; the folder is free
  });

  it("keeps nobody from stopping before there is anything to save", async () => {
    const { child } = start(onOddDisk({ slow: "instances.json" }));
    await new Promise((resolve) => {
      setTimeout(resolve, 3000);
    });
    child.kill("SIGTERM");
    expect(await ended(child)).toEqual([null, "SIGTERM"]);
  });
});

it("mounts are possible where tests that need them run", () => {
  expect(canMount || process.env["CI"] === undefined).toBe(true);
});
