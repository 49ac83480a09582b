import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

  it.each<[string, (state: Record<string, unknown>) => void, string]>([
    [
      "numbers that cannot be",
      (state) => {
        state["seconds"] = -1;
      },
      "its state.json lacks the trainer's numbers. Restore it from a copy, or delete this checkpoint",
    ],
  ])("with %s", (_, change, problem) => {
    const words = made();
    const file = join(run(), "checkpoints", "step-00000004", "state.json");
    const saved = JSON.parse(readFileSync(file, "utf8")) as { state: Record<string, unknown> };
    change(saved.state);
    writeFileSync(file, JSON.stringify(saved));
    const { code, stderr } = pretrain(...words);
    expect(code).toBe(4);
    expect(lastLine(stderr)).toContain(`checkpoint ${run()}/checkpoints/step-00000004: ${problem}`);
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

describe("data that has changed since the run began", () => {
  const annotations = (): string => join(data, "instances.json");
  interface Coco {
    images: { id: number; file_name: string }[];
    annotations: { image_id: number; segmentation: number[][] }[];
  }
  /** Changes the annotations for one call of `odis`. */
  function withChanged(change: (file: Coco) => void, ...words: string[]): Ended {
    const before = readFileSync(annotations(), "utf8");
    const file = JSON.parse(before) as Coco;
    change(file);
    writeFileSync(annotations(), JSON.stringify(file));
    try {
      return pretrain(...words);
    } finally {
      writeFileSync(annotations(), before);
    }
  }
  const fewer = (file: Coco): void => {
    file.images.splice(8);
    file.annotations = file.annotations.filter(({ image_id }) => image_id <= 8);
  };
  const advice =
    "Restore it, begin another run (--out), or go on with what is there now: --accept-data.";

  it.each<[string, (file: Coco) => void, string]>([
    ["fewer images", fewer, "12 images then, 8 now; 24 objects then, 16 now"],
    [
      "another order",
      (file) => {
        file.images = file.images.toReversed();
      },
      "images have other names, or another order",
    ],
    ["an object less", (file) => file.annotations.pop(), "24 objects then, 23 now"],
    [
      "another outline",
      (file) => file.annotations[0]!.segmentation[0]!.splice(0, 2, 30, 30),
      "objects have other outlines",
    ],
  ])("%s: is refused, saying what differs", (_, change, difference) => {
    const words = made();
    const { code, stderr } = withChanged(change, ...words);
    expect(lastLine(stderr)).toBe(
      `odis pretrain: the data is not what the run began with: ${difference}. ${advice}`,
    );
    expect(code).toBe(4);
    expect(checkpoints()).toEqual(["step-00000002", "step-00000004"]);
    expect(rows()).toBe(4);
    expect(pretrain(...words).code).toBe(0); // restored
  });

  it("is accepted on demand, and is then the run's", () => {
    const words = made();
    const { code, stderr } = withChanged(fewer, ...words, "--accept-data");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain(
      "\ngoes on with other data: 12 images then, 8 now\ngoes on with other data: 24 objects then, 16 now\n",
    );
    expect(withChanged(fewer, ...words).code).toBe(0);
    expect(lastLine(pretrain(...words).stderr)).toContain("8 images then, 12 now");
  });

  it("is written down by a run from before it was", () => {
    const words = made();
    rmSync(join(run(), "data.json"));
    expect(pretrain(...words).code).toBe(0);
    expect(lastLine(withChanged(fewer, ...words).stderr)).toContain("12 images then, 8 now");
  });
});

describe("a run folder that is deleted or moved while the run goes on", () => {
  it.each(["rm -r", "mv"])("%s: is noticed at the next checkpoint", async (how) => {
    const words = tinyRun(data, run(), "--steps", "100000", "--checkpoint-steps", "20");
    const child = spawn(process.execPath, [odisProgram, ...words], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (text) => {
      stderr += String(text);
    });
    while (!stderr.includes("step 1/")) await once(child.stderr, "data");
    execFileSync("sh", ["-c", `${how} "$0" ${how === "mv" ? '"$0.moved"' : ""}`, run()]);
    const [code] = await once(child, "close");
    expect(lastLine(stderr)).toMatch(
      /^odis pretrain: run folder \S+: is gone \(deleted, moved or replaced\) since the run began; step \d+ cannot be saved there\. Put it back and run the same line again to go on from its newest checkpoint, or start a new run\.$/,
    );
    expect(code).toBe(4);
    expect(existsSync(run())).toBe(false);
  });
});

describe("weights that are not finite", () => {
  it("are told instead of saved", () => {
    const growth = ["optim.lr=1000", "optim.weightDecay.start=100", "optim.weightDecay.end=100"];
    const { code, stdout, stderr } = pretrain(
      "--steps",
      "60",
      "--checkpoint-steps",
      "60",
      ...growth.flatMap((setting) => ["--set", setting]),
    );
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(lastLine(stderr)).toMatch(
      /^odis pretrain: step \d+: the loss or its gradient is not finite/,
    );
    expect(checkpoints()).toEqual([]);
  });
});
