import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Ended, odis, odisProgram } from "../cli/odis.js";
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
const pretrain = (...more: string[]): Ended => odis(tinyRun(data, run(), ...more));
const rows = (): number =>
  readFileSync(join(run(), "metrics.jsonl"), "utf8").split("\n").length - 1;
const checkpoints = (): readonly string[] => readdirSync(join(run(), "checkpoints"));

/** What it ended with. */
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)!;

/** A run of four steps with checkpoints of steps 2 and 4. */
function made(): readonly string[] {
  const words = ["--steps", "4", "--checkpoint-steps", "2"];
  expect(pretrain(...words)).toMatchObject({ code: 0 });
  return words;
}

describe("checkpoints that cannot be used stay, and so does the run", () => {
  it("of a newer release", () => {
    const words = made();
    for (const name of checkpoints()) {
      const file = join(run(), "checkpoints", name, "state.json");
      writeFileSync(file, readFileSync(file, "utf8").replace('"version": 1', '"version": 2'));
    }
    const { code, stderr } = pretrain(...words);
    expect(code).toBe(4);
    expect(lastLine(stderr)).toBe(
      `odis pretrain: checkpoint ${run()}/checkpoints/step-00000004: written by another release: ` +
        `version 2, this one reads 1. Use the release that made it.`,
    );
    expect(checkpoints()).toEqual(["step-00000002", "step-00000004"]);
    expect(rows()).toBe(4);
  });

  it.skipIf(!canMount)("that only somebody else may read", () => {
    const words = made();
    const file = join(run(), "checkpoints", "step-00000004", "tensors.safetensors");
    chmodSync(file, 0);
    // Without root's rights over all files, whoever runs this test.
    const words_ = ["--user", process.execPath, odisProgram, ...tinyRun(data, run(), ...words)];
    const { status, stderr } = spawnSync("unshare", words_, { encoding: "utf8" });
    expect(status).toBe(4);
    expect(lastLine(stderr)).toBe(
      `odis pretrain: checkpoint ${run()}/checkpoints/step-00000004: tensors.safetensors cannot be ` +
        `read: permission denied. Mend that first.`,
    );
    expect(checkpoints()).toEqual(["step-00000002", "step-00000004"]);
    expect(rows()).toBe(4);
  });
});

describe("weights that are not finite", () => {
  it("are told instead of saved", () => {
    const { code, stdout, stderr } = pretrain("--steps", "1", "--set", "optim.beta1=1");
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toMatch(
      /odis pretrain: checkpoint of step 1: student\.\S+ holds values that are not finite; it was not saved, there is no earlier checkpoint\. Try a lower optim\.lr, or look at what was set in optim and loss\.\n$/,
    );
    expect(checkpoints()).toEqual([]);
  });
});
