import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { suitedTo } from "../../src/recipe/suited.js";
import { scratchFolder } from "../scratch.js";
import { odis, odisProgram } from "./odis.js";

// Whole runs in processes of their own, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 300_000 });

const scratch = scratchFolder();
const photos = new URL("../fixtures/coco-6/images", import.meta.url).pathname;

/** A folder of photographs, and nothing else. */
function folder(): string {
  cpSync(photos, join(scratch(), "photos"), { recursive: true });
  return scratch();
}

const small = ["--model", "vit-mini", "--batch", "2", "--steps", "2", "--threads", "1"];

describe("photographs that nobody has marked anything in", () => {
  test("are trained on as a whole, looked at without labels, and lead on", () => {
    const cwd = folder();
    const run = odis(["pretrain", "--data", "photos", ...small], { cwd });
    expect(run.stderr).toContain(
      "folder: 6 images, no objects; a picture without one is an object as a whole\n",
    );
    expect(run.stderr).not.toContain("has an object");
    expect(run.stdout).toMatch(/^finished 2 steps in .*runs\/photos\/checkpoints\/step-00000002\n/);
    const said = run.stdout.split("\n").filter((line) => line.startsWith("  odis "));
    expect(said).toEqual([
      "  odis masks photos --with cuts:runs/photos --out runs/photos-masks.json",
      "  odis pretrain --data photos --masks runs/photos-masks.json --out runs/photos-objects",
      "  odis bootstrap --data photos --out runs/photos-bootstrap",
    ]);
    expect(run.code).toBe(0);

    const seen = odis(["evaluate", "runs/photos", "--threads", "1"], { cwd });
    expect(seen.stderr).not.toContain("report without");
    expect(seen.stdout).toContain("Its data names no classes, so no score says what it can do");
    expect(seen.stdout).toMatch(/bank: 5 objects in 5 images; tested: 1 in 1; no classes\n/);
    const page = readFileSync(join(cwd, "runs/photos/report.html"), "utf8").replaceAll(
      /"data:[^"]*"/g,
      '""',
    );
    expect(page.match(/<article class="strip">/g)).toHaveLength(1);
    expect(page).toContain("whether they are alike is yours to judge");
    expect(page).not.toMatch(/class -1|✓|✗|NaN/);

    // What is said comes next does come next.
    for (const line of said.slice(0, 2)) {
      const more = line.includes(" pretrain ") ? small : ["--threads", "1", "--size", "48"];
      expect(odis([...line.trim().split(" ").slice(1), ...more], { cwd })).toMatchObject({
        code: 0,
      });
    }
  });

  test("need classes for the other suites, which say so", () => {
    const cwd = folder();
    odis(["pretrain", "--data", "photos", "--recipe", "ibot", ...small], { cwd });
    const { code, stderr } = odis(["evaluate", "runs/photos", "--suite", "linear"], { cwd });
    expect([code, stderr]).toEqual([
      2,
      "odis evaluate: evaluation: --suite linear wants classes, and the data names none. Without them " +
        "there is --suite knn; or give labelled data: --train PLACE --test PLACE\n",
    ]);
  });

  test("need no other option: size and length are chosen and said", async () => {
    const cwd = folder();
    const child = spawn(process.execPath, [odisProgram, "pretrain", "--data", "photos"], { cwd });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
      if (/^step /m.test(stderr)) child.kill("SIGTERM");
    });
    expect((await once(child, "exit"))[0]).toBe(143);
    expect(stderr).toMatch(
      /^nothing was said of size and length, so it will be vit-mini, 1000 steps of 6 images, in runs\/photos /,
    );
  });

  test("are as many in a step as there are, for as long as is published or teaches something", () => {
    expect(suitedTo(6, "cpu", "odis")).toEqual({
      model: "vit-mini",
      optim: { batch: 6, steps: 1000, warmupEpochs: 50 },
    });
    // 20 epochs of 1,000 steps of 64, half an epoch of warming up: as vit-mini has them.
    expect(suitedTo(64_000, "cpu", "odis")).toEqual({
      model: "vit-mini",
      optim: { batch: 64, steps: 20_000, warmupEpochs: 0.5 },
    });
    expect(suitedTo(1000, "cuda:1", "ibot")).toMatchObject({ model: "vit-s" });
  });
});
