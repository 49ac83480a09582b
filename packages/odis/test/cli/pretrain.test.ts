import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.js";
import { readRunConfig } from "../../src/run/folder.js";
import { Rng } from "../../src/core/rng.js";
import { canMount, shellOnSmallDisk } from "../small-disk.js";
import { odis, odisProgram } from "./odis.js";

// Whole runs in processes of their own, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 300_000 });

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-pretrain-"));
  const made = odis(["scenes", "scenes", "--train", "40", "--test", "8", "--canvas", "48"], {
    cwd: folder,
  });
  expect(made).toMatchObject({ code: 0, stderr: "" });
  expect(made.stdout).toMatch(/^scenes: made 40 training and 8 test scenes\n/);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The smallest network that still has everything. */
const tiny = [
  "--data",
  join("coco:scenes", "train"),
  "--batch",
  "4",
  "--set",
  "model.dim=16",
  "model.depth=1",
  "model.heads=2",
  "model.patch=8",
  "head.hidden=16",
  "head.bottleneck=8",
  "head.prototypes=16",
  "views.globals.size=24",
  "views.locals.size=16",
  "views.locals.count=1",
];
const pretrain = (out: string, ...more: string[]): ReturnType<typeof odis> =>
  odis(["pretrain", ...tiny, "--out", out, ...more], { cwd: folder });

/** What the newest checkpoint says of its tensors: equal texts, equal bits. */
function fingerprint(out: string): string {
  const [newest] = listCheckpoints(join(folder, out, "checkpoints"));
  const state: { tensors: { sha256: string } } = JSON.parse(
    readFileSync(join(newest?.path ?? "", "state.json"), "utf8"),
  );
  return state.tensors.sha256;
}

/** A checkpoint that is being written, or was when its process was killed. */
const isHalf = (name: string): boolean => name.endsWith(".tmp");

describe("odis pretrain", () => {
  it("leaves a run folder that explains itself", () => {
    const { code, stdout, stderr } = pretrain("plain", "--steps", "80", "--seed", "5");
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(
      /^finished 80 steps in .*; newest checkpoint plain\/checkpoints\/step-00000080\n$/,
    );
    expect(stderr).toMatch(
      /^coco: 40 images, 141 objects, 10 classes\nstep 1\/80  loss .* images\/s  (?:core wait \d+ % {2})?data wait \d+ %(?: \(workers\))?  epoch 0/,
    );
    expect(readRunConfig(join(folder, "plain"))).toMatchObject({
      recipe: { name: "odis vit-s", seed: 5, model: { dim: 16 }, optim: { batch: 4, steps: 80 } },
    });
    const rows = readFileSync(join(folder, "plain", "metrics.jsonl"), "utf8")
      .trim()
      .split("\n");
    expect(rows).toHaveLength(80);
  });

  it("is stopped by Ctrl-C after a checkpoint, says how to go on, and ends in the same bits", async () => {
    const words = ["pretrain", ...tiny, "--out", "stopped", "--steps", "80", "--seed", "5"];
    const child = spawn(process.execPath, [odisProgram, ...words], { cwd: folder });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (text) => {
      stdout += String(text);
    });
    child.stderr.on("data", (text) => {
      stderr += String(text);
    });
    while (!stderr.includes("step 1/80")) await once(child.stderr, "data");
    child.kill("SIGINT");
    const [code] = await once(child, "close");
    expect(code).toBe(130);
    expect(stderr).toContain(
      "SIGINT: saving a checkpoint after this step. Once more Ctrl-C ends at once.",
    );
    const [, step, line] =
      /^stopped after step (\d+) of 80; saved .*\ngo on with: (odis pretrain .*)\n$/.exec(stdout) ??
      [];
    expect(Number(step)).toBeLessThan(80);
    expect(line).toBe(["odis", ...words].join(" "));

    const again = odis(words, { cwd: folder });
    expect(again.stderr).toContain(`resumes after step ${step} of 80`);
    expect(again.code).toBe(0);
    expect(fingerprint("stopped")).toBe(fingerprint("plain"));
  });

  it("is killed ten times, mid-epoch and in the middle of checkpoints, and ends in the same bits", async () => {
    const words = [...tiny, "--steps", "80", "--seed", "5", "--checkpoint-steps", "3"];
    const checkpoints = join(folder, "killed", "checkpoints");
    const halves = (): number =>
      existsSync(checkpoints) ? readdirSync(checkpoints).filter(isHalf).length : 0;
    const chance = new Rng("kills");
    let tornWrites = 0;
    for (let kill = 0; kill < 10; kill += 1) {
      const child = spawn(
        process.execPath,
        [odisProgram, "pretrain", ...words, "--out", "killed"],
        {
          cwd: folder,
          stdio: ["ignore", "ignore", "pipe"],
        },
      );
      const closed = once(child, "close");
      await once(child.stderr, "data"); // it trains, or says that it goes on
      if (kill % 2 === 0) await setTimeout(chance.uniform(0, 250));
      else while (child.exitCode === null && halves() === 0) await setImmediate();
      child.kill("SIGKILL");
      await closed;
      tornWrites += halves();
    }
    expect(tornWrites).toBeGreaterThan(0); // or no kill hit a checkpoint, and the test tests less
    expect(pretrain("killed", ...words.slice(tiny.length)).code).toBe(0);
    expect(fingerprint("killed")).toBe(fingerprint("plain"));
    const rows = readFileSync(join(folder, "killed", "metrics.jsonl"), "utf8")
      .trim()
      .split("\n");
    const steps = rows.map((row) => (JSON.parse(row) as { step: number }).step);
    expect(steps).toEqual(Array.from({ length: 80 }, (_, step) => step));
  });

  it("passes over a torn checkpoint, says so, and ends in the same bits", () => {
    expect(pretrain("torn", "--steps", "80", "--seed", "5", "--checkpoint-steps", "20").code).toBe(
      0,
    );
    const [newest] = listCheckpoints(join(folder, "torn", "checkpoints"));
    truncateSync(join(newest?.path ?? "", "tensors.safetensors"), 1000);
    const { code, stderr } = pretrain(
      "torn",
      "--steps",
      "80",
      "--seed",
      "5",
      "--checkpoint-steps",
      "20",
    );
    expect(stderr).toMatch(
      /^coco: .*\ncheckpoint torn\/checkpoints\/step-00000080 is passed over: torn: tensors\.safetensors has 1000 of \d+ bytes\nresumes after step 60 of 80\n/,
    );
    expect(code).toBe(0);
    expect(fingerprint("torn")).toBe(fingerprint("plain"));
  });

  it("refuses a folder of another config, and one that is in use", async () => {
    expect(pretrain("plain", "--steps", "81", "--seed", "5")).toMatchObject({
      code: 4,
      stderr:
        "odis pretrain: run folder plain: already used by a run with another config: recipe.optim.steps is 80 there and 81 here. " +
        "Choose another --out, or give the same settings to go on with that run.\n",
    });
    const child = spawn(
      process.execPath,
      [odisProgram, "pretrain", ...tiny, "--out", "busy", "--steps", "100000"],
      { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
    );
    await once(child.stderr, "data");
    const second = pretrain("busy", "--steps", "100000");
    child.kill("SIGKILL");
    await once(child, "close");
    expect(second.code).toBe(4);
    expect(second.stderr).toBe(
      `odis pretrain: run folder busy is in use by process ${child.pid}. Wait for it, stop it, or choose another folder.\n`,
    );
    expect(existsSync(join(folder, "busy", "lock"))).toBe(true);
    // The lock of the killed process does not stand in the way.
    expect(pretrain("busy", "--steps", "100001").stderr).toContain(
      "already used by a run with another config",
    );
  });

  it.skipIf(!canMount)("says when the disk is full", () => {
    const words = ["pretrain", ...tiny, "--out", "run", "--steps", "5"];
    const line = [process.execPath, odisProgram, ...words].map((word) => `'${word}'`).join(" ");
    const { stderr, status } = shellOnSmallDisk(
      join(folder, "small"),
      "size=700k",
      `ln -s '${join(folder, "scenes")}' scenes; exec ${line}`,
    );
    expect(stderr).toMatch(
      /odis pretrain: checkpoint of step 5: disk full: it needs 2 MB, free are 1 MB in run\/checkpoints; there is no earlier checkpoint\. Make room, then resume\.\n$/,
    );
    expect(status).toBe(4);
  });
});

describe("the engine", () => {
  it.each(["pretrain", "doctor"])("missing: %s ends with 5 and says what to install", (command) => {
    const words = command === "doctor" ? ["doctor"] : ["pretrain", ...tiny, "--out", "none"];
    const { code, stdout, stderr } = odis(words, { cwd: folder, env: { LIBTORCH: "/nowhere" } });
    expect(code).toBe(5);
    expect(`${stdout}${stderr}`).toContain(
      "LIBTORCH=/nowhere: there is no such folder; wanted the folder of an unpacked libtorch",
    );
    expect(stderr).not.toContain("    at ");
  });

  it("is described by odis doctor", () => {
    const { code, stdout } = spawnDoctor();
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^Node +\d+\.\d+\.\d+\nLibTorch +\d+\.\d+\.\d+ at \/.*\nBLAS +\S.* at \/.*\nthreads +1 of \d+ cores\ndevices +cpu/,
    );
    expect(stdout).toMatch(
      /\nproduct +\d+ GFLOP\/s \(1024 x 1024 x 1024, float32\)\nblock +\d+ GFLOP\/s \(ViT-S block/,
    );
    expect(stdout).toMatch(
      /\nviews +\d+ photographs a second and core drawn by workers, \d+ decoded and planned \(640 x 480 to /,
    );
  });
});

describe("a machine that others use, too", () => {
  it("is told by odis doctor", () => {
    // Twice as many busy processes as cores.
    const others = Array.from({ length: 2 * availableParallelism() }, () =>
      spawn(process.execPath, ["-e", "for (;;);"]),
    );
    try {
      expect(spawnDoctor().stdout).toMatch(
        /\n! for \d\d % of the time threads wanted a core and had none: other programs are busy, /,
      );
    } finally {
      for (const other of others) other.kill("SIGKILL");
    }
  });
});

function spawnDoctor(): { code: number | null; stdout: string } {
  const { status, stdout } = spawnSync(process.execPath, [odisProgram, "doctor"], {
    encoding: "utf8",
    env: { ...process.env, OMP_NUM_THREADS: "1" },
  });
  return { code: status, stdout };
}
