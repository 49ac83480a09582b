import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { exitCodes } from "../src/core/index.js";
import { scratchFolder } from "./scratch.js";

const scratch = scratchFolder();
const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

const [, libraryLines = ""] = /## As a library\s+```js\n(.*?)```/s.exec(readme) ?? [];
const compiler = fileURLToPath(new URL("../../../node_modules/.bin/tsc", import.meta.url));

/** As `npm link odis` would do it. */
function linkOdis(): void {
  mkdirSync(join(scratch(), "node_modules"));
  symlinkSync(fileURLToPath(new URL("..", import.meta.url)), join(scratch(), "node_modules/odis"));
}

describe("the README", () => {
  it("has lines for the library that run as they stand, on the oldest Node", () => {
    linkOdis();
    cpSync(new URL("fixtures/coco-6", import.meta.url), join(scratch(), "photos"), {
      recursive: true,
    });
    // The same lines, but two steps of two images.
    const short = libraryLines.replace("optim: { steps: 2000 }", "optim: { steps: 2, batch: 2 }");
    expect(short).not.toBe(libraryLines);
    writeFileSync(join(scratch(), "pretrain.mjs"), short);
    const { status, stdout, stderr } = spawnSync(process.execPath, ["pretrain.mjs"], {
      cwd: scratch(),
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^Float32Array\(\d+\) \[\n +-?\d/);
  }, 300_000);

  it("has the same lines for TypeScript at its strictest", () => {
    writeFileSync(join(scratch(), "pretrain.mts"), libraryLines);
    linkOdis();
    const flags =
      "--ignoreConfig --noEmit --strict --module nodenext --target es2022 --lib es2022".split(" ");
    const more = ["--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"];
    const { stdout } = spawnSync(process.execPath, [compiler, ...flags, ...more, "pretrain.mts"], {
      cwd: scratch(),
      encoding: "utf8",
    });
    expect(stdout).toBe("");
  }, 120_000);

  it("names every exit code", () => {
    const [, section] = /## Exit codes\n(.*?)\n\n\S/s.exec(readme) ?? [];
    for (const code of Object.values(exitCodes))
      expect(section).toMatch(new RegExp(`\\b${code}\\b`));
  });
});
