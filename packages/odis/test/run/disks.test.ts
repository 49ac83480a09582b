import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { odis, odisProgram } from "../cli/odis.js";
import { onOddDisk } from "../odd-disk.js";
import { scratchFolder } from "../scratch.js";
import { canMount, shellOnSmallDisk } from "../small-disk.js";
import { tinyData, tinyRun } from "./tiny-run.js";

vi.setConfig({ testTimeout: 300_000 });

const scratch = scratchFolder();
let data: string;
beforeAll(async () => {
  data = await tinyData();
});
afterAll(() => rmSync(data, { recursive: true }));

/** A shell's command line of `odis`. */
const command = (...words: string[]): string =>
  [process.execPath, odisProgram, ...words].map((word) => `'${word}'`).join(" ");
const pretrain = (out: string, ...more: string[]): string =>
  command(...tinyRun(data, out, ...more));

/** Shell: waits until something succeeds, for two minutes at most, and not for a `$child` that has ended. */
const until = (succeeds: string): string =>
  `n=0; until ${succeeds}; do n=$((n + 1)); kill -0 $child 2> /dev/null && [ $n -lt 12000 ] || break; ` +
  "sleep 0.01; done";

describe("a file system without hard links, and without fsync of folders", () => {
  const errors = { EPERM: 1, ENOSYS: 38, ENOTSUP: 95 };

  it.each(Object.entries(errors))("is good enough (%s)", (_, link) => {
    const out = join(scratch(), "run");
    const env = onOddDisk({ link, syncFolder: 22 });
    const words = tinyRun(data, out, "--steps", "4", "--checkpoint-steps", "2");
    const { code, stderr } = odis(words, { env });
    expect(code, stderr).toBe(0);
    expect(readdirSync(join(out, "checkpoints"))).toEqual(["step-00000002", "step-00000004"]);
    expect(existsSync(join(out, "lock"))).toBe(false);
  });

  it("gives a lock to one of several processes", async () => {
    const script = new URL("./lock-once.mjs", import.meta.url).pathname;
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, [script, join(scratch(), "lock")], {
        stdio: ["pipe", "pipe", "inherit"],
        env: { ...process.env, ...onOddDisk({ link: errors.EPERM }) },
      }),
    );
    const answers = await Promise.all(
      children.map(async (child) => String((await once(child.stdout, "data"))[0]).trim()),
    );
    for (const child of children) child.stdin.end();
    expect(answers.toSorted()).toEqual(["locked", "refused", "refused", "refused"]);
  });
});

describe("a place where nothing can be written", () => {
  it("is told in one sentence before anything is done", () => {
    expect(odis(tinyRun(data, "/proc/x", "--steps", "4"))).toEqual({
      code: 4,
      stdout: "",
      stderr:
        "odis pretrain: run folder /proc/x: cannot be written: no folder can be made there. Choose another --out.\n",
    });
  });

  it.skipIf(!canMount)("read-only: pretrain, evaluate, report, export", () => {
    mkdirSync(join(scratch(), "disk"));
    const lines = [
      pretrain("new/run", "--steps", "2"),
      pretrain("run", "--steps", "2"),
      command("evaluate", "run"),
      command("report", "run"),
      command("export", "run", "new/vit.safetensors", "--format", "timm"),
      command("export", "run", "vit", "--format", "hf"),
      command("import", "run", "new"),
      command("scenes", "new/scenes"),
      command("compare", "main", "--train", "coco:x", "--test", "coco:x", "--out", "new/compared"),
    ];
    const { stdout } = shellOnSmallDisk(
      join(scratch(), "disk"),
      "size=24m",
      `${pretrain("run", "--steps", "2")} >/dev/null 2>&1; mount -o remount,ro .; exec 2>&1; ` +
        lines.map((line) => `${line}; echo "$?"`).join("; "),
    );
    const readOnly = "cannot be written: the file system is read-only.";
    const elsewhere = "Make it writable, or use another place.";
    expect(stdout.split("\n")).toEqual([
      `odis pretrain: run folder new/run: ${readOnly} Choose another --out.`,
      "4",
      `odis pretrain: run folder run: ${readOnly} Choose another --out.`,
      "4",
      `odis evaluate: folder run: ${readOnly} ${elsewhere}`,
      "4",
      `odis report: folder run: ${readOnly} ${elsewhere}`,
      "4",
      `odis export: folder new: ${readOnly} ${elsewhere}`,
      "4",
      `odis export: folder vit: ${readOnly} Choose another one.`,
      "4",
      `odis import: run folder new: ${readOnly} Choose another --out.`,
      "4",
      `odis scenes: folder ${join(scratch(), "disk", "new/scenes")}: ${readOnly} Choose another one.`,
      "4",
      `odis compare: comparison new/compared: ${readOnly} Choose another --out.`,
      "4",
      "",
    ]);
  });
});

describe.skipIf(!canMount)("a disk that fills up between two checkpoints", () => {
  it("ends the run in one sentence; with room again it goes on", () => {
    mkdirSync(join(scratch(), "disk"));
    const run = pretrain("run", "--steps", "100000", "--checkpoint-steps", "40");
    const { stdout } = shellOnSmallDisk(
      join(scratch(), "disk"),
      "size=24m",
      `timeout 240 ${run} > /dev/null 2> said & child=$!
      ${until("ls run/checkpoints/step-* > /dev/null 2>&1")}
      cat /dev/zero > filler 2> /dev/null; wait $child; echo "$?"; tail -n 1 said; ls run/checkpoints
      rm filler; ${run} > /dev/null 2> more & child=$!
      ${until("grep -q resumes more")}; grep resumes more; kill -9 $child`,
    );
    const [, code, ended, step, last, resumed] =
      /^(\d+)\n(.*cannot be written after step (\d+).*)\n(.*)\n(.*)\n$/.exec(stdout) ?? [];
    expect(code, stdout).toBe("4");
    expect(Number(step)).toBeGreaterThan(40);
    expect(ended).toBe(
      `odis pretrain: run folder run: cannot be written after step ${step}: the disk is full; ` +
        `run/checkpoints/${last} stands. Mend that, then run the same line again.`,
    );
    expect(last).toBe("step-00000040");
    expect(resumed).toBe("resumes after step 40 of 100000");
  });
});
