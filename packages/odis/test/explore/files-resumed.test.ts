import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { makeScenes } from "odis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { odis, odisProgram } from "../cli/odis.js";
import { bytesOf } from "../search/bytes.js";
import { embedded } from "./library.js";

let folder: string;
let store: string;
let calm: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const { train } = await makeScenes(join(folder, "scenes"), { train: 120, test: 1 });
  store = await embedded(folder, `coco:${train.images},${train.annotations}`);
  expect(odis(["explore", store, "--static", join(folder, "calm")]).code).toBe(0);
  calm = bytesOf(join(folder, "calm"));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** How many images have all their files. */
function finished(out: string): number {
  const images = join(folder, `.${out}.part`, "images", "0");
  return existsSync(images)
    ? readdirSync(images).filter((name) => name.endsWith(".json")).length
    : 0;
}

/** Writes the page until so many images are finished, then sends a signal. */
async function ended(out: string, images: number, signal: "SIGINT" | "SIGKILL") {
  const words = ["explore", store, "--static", join(folder, out)];
  const child = spawn(process.execPath, [odisProgram, ...words], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  child.stdout.on("data", (more) => (said += more));
  const done = once(child, "close");
  while (child.exitCode === null && finished(out) < images) await setTimeout(1);
  child.kill(signal);
  const [code, killedBy] = await done;
  return { code, killedBy, said };
}

it("a page of files that was killed again and again is, byte for byte, one that nobody disturbed", async () => {
  for (const images of [1, 20, 21, 50, 90]) {
    const { killedBy } = await ended("wild", images, "SIGKILL");
    expect(killedBy).toBe("SIGKILL");
    // What was there before is still there.
    expect(finished("wild")).toBeGreaterThanOrEqual(images);
    expect(existsSync(join(folder, "wild"))).toBe(false);
  }
  const kept = finished("wild");
  expect(kept).toBeLessThan(120);
  const { code, stdout } = odis(["explore", store, "--static", join(folder, "wild")]);
  expect(code).toBe(0);
  expect(bytesOf(join(folder, "wild"))).toEqual(calm);
  expect(readdirSync(folder)).not.toContain(".wild.part");
  const again = odis(["explore", store, "--static", join(folder, "twice")]);
  expect(stdout.replaceAll("wild", "twice")).toBe(again.stdout);
}, 120_000);

it("Ctrl-C says how many images are kept and where, and how to go on", async () => {
  const { code, said } = await ended("stopped", 10, "SIGINT");
  expect(code).toBe(130);
  expect(said).toMatch(
    /^stopped after \d+ of 120 images, which are kept in .*\/\.stopped\.part; go on with: .*odis explore .* --static .*stopped\n$/,
  );
  expect(finished("stopped")).toBe(Number(/after (\d+)/.exec(said)![1]));
  expect(odis(["explore", store, "--static", join(folder, "stopped")]).code).toBe(0);
  expect(bytesOf(join(folder, "stopped"))).toEqual(calm);
}, 60_000);

it("what was kept of another kind of page is begun anew", async () => {
  await ended("other", 10, "SIGKILL");
  const words = ["explore", store, "--static", join(folder, "other"), "--browse-only"];
  expect(odis(words).code).toBe(0);
  const made = bytesOf(join(folder, "other"));
  expect(Object.keys(made).filter((name) => !(name in calm))).toEqual([]);
  expect(Object.keys(made)).not.toContain("network.onnx");
  expect(Object.keys(made)).not.toContain("plan.json");
}, 60_000);
