import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { PlanInput } from "../../src/compare/plan.js";
import { readRecord } from "../../src/compare/record.js";
import type { Comparison } from "../../src/compare/results.js";
import { listCheckpoints } from "../../src/run/checkpoint.js";
import { odis, odisProgram } from "../cli/odis.js";

// Whole comparisons in processes of their own, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 });

const steps = 150;
const plan: PlanInput = {
  name: "tiny",
  title: "A tiny comparison",
  data: { train: "coco:scenes/train", test: "coco:scenes/test" },
  common: {
    model: "vit-mini",
    steps,
    batch: 4,
    set: {
      "model.dim": 16,
      "model.depth": 1,
      "model.heads": 2,
      "head.hidden": 16,
      "head.bottleneck": 8,
      "head.prototypes": 16,
      "views.globals.size": 24,
    },
  },
  seeds: [0],
  rows: [
    { name: "ibot", recipe: "ibot" },
    { name: "odis", recipe: "odis", note: "both" },
  ],
  evaluate: { mode: ["none", "mask"], size: 48 },
  lines: [
    { name: "iBOT", row: "ibot", inference: "none" },
    { name: "ODIS + masks", row: "odis", inference: "mask" },
  ],
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-compare-"));
  const made = odis(["scenes", "scenes", "--train", "30", "--test", "12", "--canvas", "48"], {
    cwd: folder,
  });
  expect(made.code).toBe(0);
  writeFileSync(join(folder, "plan.json"), JSON.stringify(plan));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const words = (out: string, ...more: string[]): string[] => [
  "compare",
  "plan.json",
  "--out",
  out,
  ...more,
];
const compare = (out: string, ...more: string[]): ReturnType<typeof odis> =>
  odis(words(out, ...more), { cwd: folder });

function result(out: string): Comparison {
  const comparison: Comparison = JSON.parse(
    readFileSync(join(folder, out, "compare.json"), "utf8"),
  );
  return comparison;
}

/** What the newest checkpoint says of its tensors: equal texts, equal bits. */
function fingerprint(out: string, run: string): string {
  const [newest] = listCheckpoints(join(folder, out, "runs", run, "checkpoints"));
  const state: { step: number; tensors: { sha256: string } } = JSON.parse(
    readFileSync(join(newest?.path ?? "", "state.json"), "utf8"),
  );
  return `${state.step} ${state.tensors.sha256}`;
}

/** A comparison that goes on until somebody ends it; resolves when its run of this name trains. */
async function training(out: string, run: string) {
  const child = spawn(process.execPath, [odisProgram, ...words(out)], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => {
    stdout += String(text);
  });
  child.stderr.on("data", (text) => {
    stderr += String(text);
  });
  const metrics = join(folder, out, "runs", run, "metrics.jsonl");
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      if (child.exitCode !== null) throw new Error(`ended early: ${stdout}${stderr}`);
      await setTimeout(5);
    }
  };
  // A process of an earlier comparison may still write there; this one's first line tells.
  const row = run.replace("-s0", "");
  await until(() => new RegExp(`${row} seed 0 · .*(step 1/|resumes after)`).test(stderr));
  const before = readFileSync(metrics, "utf8").length;
  await until(() => readFileSync(metrics, "utf8").length > before + 500);
  return { child, closed, said: () => ({ stdout, stderr }) };
}

/** Processes that write into the run folder: at most the one that its lock names. */
function writers(out: string, run: string): number[] {
  const lock = join(folder, out, "runs", run, "lock");
  if (!existsSync(lock)) return [];
  return readdirSync(lock)
    .filter((name) => /^\d+$/.test(name))
    .map((name) => (JSON.parse(readFileSync(join(lock, name), "utf8")) as { pid: number }).pid);
}

const ends = async ({ closed }: { closed: Promise<unknown[]> }): Promise<unknown> =>
  (await closed)[0];

describe("odis compare", () => {
  it("trains and evaluates every row, and leaves tables that agree with the runs' own numbers", () => {
    const { code, stdout, stderr } = compare("whole");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stderr).toContain("[1/2] ibot seed 0 · training finished after");
    expect(stderr).toMatch(/\[2\/2\] odis seed 0 · .* left in all · step 1\/150 {2}loss/);
    expect(stdout).toContain("k-NN top-1 of objects, per cent, k = 20\n");
    for (const line of stdout.split("\n")) {
      if (line.startsWith("report") || line.startsWith("table")) continue; // paths stay whole
      expect(line.length).toBeLessThanOrEqual(80);
    }
    const { rows, differences, lines } = result("whole");
    for (const { name, runs, cells } of rows) {
      expect(runs).toEqual([expect.objectContaining({ status: "finished", steps })]);
      const evaluation: { measurements: { name: string; value: number; low: number }[] } =
        JSON.parse(
          readFileSync(join(folder, "whole", "runs", `${name}-s0`, "evaluation.json"), "utf8"),
        );
      const own = evaluation.measurements.find(
        (measurement) => measurement.name === "trained/object/mask/knn20/top1",
      );
      expect(cells["mask"]).toMatchObject({ value: own!.value, low: own!.low, seeds: 1 });
      expect(cells["rate"]!.value).toBeGreaterThan(0);
      // A process with LibTorch in it: no less than 100 MB, and no more than this machine has.
      expect(cells["memory"]!.value).toBeGreaterThan(1e8);
      expect(cells["memory"]!.value).toBeLessThan(4e9);
    }
    const of = (row: string, key: string): number =>
      rows.find(({ name }) => name === row)!.cells[key]!.value;
    const found = differences.find(({ measure }) => measure === "mask");
    expect(found).toMatchObject({ of: "odis", to: "ibot", overImages: true });
    expect(found!.value).toBeCloseTo(of("odis", "mask") - of("ibot", "mask"), 12);
    expect(lines[1]!.difference!.value).toBeCloseTo(of("odis", "mask") - of("ibot", "none"), 12);
    const table = readFileSync(join(folder, "whole", "table.md"), "utf8");
    expect(table).toContain("### A tiny comparison");
    expect(table).toMatch(/^\| odis \|( [^|]+ \|)+$/m);
  });

  it("gives the bits of the command that it shows", () => {
    const { pretrain } = result("whole").rows[1]!.runs[0]!.commands;
    const shown = pretrain.replaceAll("whole/runs/odis-s0", "alone").split(" ").slice(1);
    expect(odis(shown, { cwd: folder }).code).toBe(0);
    const [newest] = listCheckpoints(join(folder, "alone", "checkpoints"));
    const { tensors, step }: { step: number; tensors: { sha256: string } } = JSON.parse(
      readFileSync(join(newest!.path, "state.json"), "utf8"),
    );
    expect(`${step} ${tensors.sha256}`).toBe(fingerprint("whole", "odis-s0"));
  });

  it("refuses a folder of something else, and leaves it as it is", () => {
    const photos = join(folder, "photos");
    mkdirSync(join(photos, "runs"), { recursive: true }); // a working folder has some, too
    writeFileSync(join(photos, "1.jpg"), "");
    expect(compare("photos")).toMatchObject({
      code: 4,
      stderr:
        "odis compare: comparison photos: the folder holds other things (1.jpg); wanted a new or empty folder, " +
        "or that of a comparison. Choose another --out.\n",
    });
    expect(readdirSync(photos)).toEqual(["1.jpg", "runs"]);
  });

  it("does nothing again that is finished", () => {
    const before = ["ibot-s0", "odis-s0"].map((run) => readRecord(join(folder, "whole"), run));
    const { code, stderr } = compare("whole");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const after = ["ibot-s0", "odis-s0"].map((run) => readRecord(join(folder, "whole"), run));
    expect(after).toEqual(before);
  });

  it("evaluates once more, but trains no more, when only the evaluation changed", () => {
    const before = readRecord(join(folder, "whole"), "odis-s0");
    const { code, stderr } = compare("whole", "--limit", "10");
    expect(code).toBe(0);
    expect(stderr).toContain("evaluation finished");
    expect(stderr).not.toContain("training");
    const after = readRecord(join(folder, "whole"), "odis-s0");
    expect(after.pretrain).toEqual(before.pretrain);
    expect(after.evaluate?.words).toContain("10");
    expect(compare("whole").code).toBe(0); // as the tests below expect it
  });

  it("is stopped, killed and killed in its run, goes on each time, and ends in the same bits", async () => {
    // Ctrl-C for the comparison alone: it passes the signal on, and waits.
    const first = await training("broken", "ibot-s0");
    first.child.kill("SIGINT");
    expect(await ends(first)).toBe(130);
    expect(first.said().stderr).toContain("SIGINT: the run at work saves a checkpoint and ends.");
    expect(first.said().stdout).toContain(
      `stopped; go on with: odis ${words("broken").join(" ")}\n`,
    );
    expect(writers("broken", "ibot-s0")).toEqual([]);
    expect(readRecord(join(folder, "broken"), "ibot-s0")).toMatchObject({
      pretrain: { status: "stopped" },
    });

    // kill -9: the run notices, saves and ends by itself.
    const second = await training("broken", "odis-s0");
    const [orphan] = writers("broken", "odis-s0");
    second.child.kill("SIGKILL");
    await ends(second);
    const finishedFirst = readRecord(join(folder, "broken"), "ibot-s0");
    expect(finishedFirst).toMatchObject({
      pretrain: { status: "finished" },
      evaluate: { status: "finished" },
    });

    // Started at once: it waits for that process. Then the run itself is killed.
    const third = await training("broken", "odis-s0");
    expect(third.said().stderr).toContain(`resumes after step`);
    const [run] = writers("broken", "odis-s0");
    expect(run).not.toBe(orphan);
    process.kill(run!, "SIGKILL");
    expect(await ends(third)).toBe(0);
    expect(result("broken").rows[1]!.runs[0]).toMatchObject({
      status: "failed",
      message: "ended by SIGKILL (out of memory?)",
    });
    expect(third.said().stdout).toContain("odis (0 of 1)");

    // Run again, a failed run is tried again.
    expect(compare("broken").code).toBe(0);
    expect(readRecord(join(folder, "broken"), "ibot-s0")).toEqual(finishedFirst);
    for (const name of ["ibot-s0", "odis-s0"])
      expect(fingerprint("broken", name)).toBe(fingerprint("whole", name));
    const figures = (out: string): unknown =>
      result(out).rows.map(({ cells: { rate: _rate, memory: _memory, ...shares } }) => shares);
    expect(figures("broken")).toEqual(figures("whole"));
  });

  it("records a run that fails, goes on with the others, and says so", () => {
    const rows = [
      {
        name: "nan",
        recipe: "odis",
        // Decay this strong turns weights over and makes them grow until they are no numbers.
        set: { "optim.lr": 1000, "optim.weightDecay.start": 100, "optim.weightDecay.end": 100 },
      },
      { name: "odis", recipe: "odis" },
    ];
    writeFileSync(
      join(folder, "failing.json"),
      JSON.stringify({ ...plan, rows, lines: [], name: "failing" }),
    );
    const { code, stdout } = odis(
      ["compare", "failing.json", "--out", "failing", "--steps", "20"],
      {
        cwd: folder,
      },
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^nan \(0 of 1\) +–/m);
    expect(stdout.replace(/\s+/g, " ")).toMatch(
      / ! nan seed 0 failed: step \d+: the loss or its gradient is not finite /,
    );
    expect(result("failing").rows.map(({ runs }) => runs[0]!.status)).toEqual([
      "failed",
      "finished",
    ]);
  });

  it("ends at once where no run could do better", () => {
    const { code, stderr } = compare("nodata", "--train", "coco:nowhere");
    expect(code).toBe(3);
    expect(stderr).toMatch(/odis compare: odis pretrain: .*nowhere/);
    expect(existsSync(join(folder, "nodata", "runs", "odis-s0"))).toBe(false);
  });

  it("lets one comparison at a time into its folder", async () => {
    const busy: { child: ChildProcess; closed: Promise<unknown[]> } = await training(
      "busy",
      "ibot-s0",
    );
    expect(compare("busy")).toMatchObject({
      code: 4,
      stderr: `odis compare: comparison busy is in use by process ${busy.child.pid}. Wait for it, stop it, or choose another folder.\n`,
    });
    busy.child.kill("SIGTERM");
    expect(await ends(busy)).toBe(143);
  });
});
