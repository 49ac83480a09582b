import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { RunError } from "../../src/core/errors.js";
import { describeDifferences, differences } from "../../src/run/folder.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { openRunFolder, readRunConfig } from "../../src/run/folder.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const run = (): string => join(scratch(), "runs", "first");
const lockFolder = (): string => join(run(), "lock");
const lockFile = (number: number): string => join(lockFolder(), String(number));
/** A lock as another process would leave it. */
function leaveLock(text: string): void {
  mkdirSync(lockFolder(), { recursive: true });
  writeFileSync(lockFile(1), text);
}
const config = {
  seed: 0,
  optim: { lr: 0.0005, betas: [0.9, 0.999] },
  views: { globals: { size: 224 } },
};

/** Text of the refusal. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof RunError) return error.message;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("openRunFolder", () => {
  it("makes the folder with the resolved config, and opens it again for the same run", () => {
    {
      using folder = openRunFolder(run(), config);
      expect(folder.existed).toBe(false);
      folder.log("began");
      expect(readFileSync(folder.layout.log, "utf8")).toMatch(/^\d{4}-.*Z began\n$/);
    }
    expect(readRunConfig(run())).toEqual(config);
    using again = openRunFolder(run(), config);
    expect(again.existed).toBe(true);
    expect(readdirSync(run()).toSorted()).toEqual([
      "checkpoints",
      "config.json",
      "lock",
      "log.txt",
    ]);
  });

  it("refuses a folder of another config, naming the first differences with both values", () => {
    openRunFolder(run(), config)[Symbol.dispose]();
    const other = {
      seed: 1,
      optim: { lr: 0.001, betas: [0.9, 0.95], clip: 3 },
      views: { globals: { size: 224 } },
    };
    expect(refusal(() => openRunFolder(run(), other))).toBe(
      `run folder ${run()}: already used by a run with another config: seed is 0 there and 1 here; ` +
        `optim.lr is 0.0005 there and 0.001 here; optim.betas is [0.9,0.999] there and [0.9,0.95] here; and 1 more. ` +
        `Choose another --out, or give the same settings to go on with that run.`,
    );
    expect(existsSync(join(run(), "lock"))).toBe(false);
    expect(readRunConfig(run())).toEqual(config);
  });

  it("goes on with a run from before a setting existed, as long as that has its default", () => {
    const recipe = recipeSchema.parse({ seed: 7 });
    const { memory: _, ...optim } = recipe.optim;
    openRunFolder(run(), { recipe: { ...recipe, optim } })[Symbol.dispose]();
    openRunFolder(run(), { recipe })[Symbol.dispose]();
    const other = { ...recipe, optim: { ...recipe.optim, memory: "recompute" } };
    expect(refusal(() => openRunFolder(run(), { recipe: other }))).toContain(
      'another config: recipe.optim.memory is "keep" there and "recompute" here.',
    );
    // A setting that no longer exists cannot be given again.
    const { optim: without } = recipe;
    openRunFolder(`${run()}-old`, { recipe: { ...recipe, optim: { ...without, gone: 1 } } })[
      Symbol.dispose
    ]();
    expect(refusal(() => openRunFolder(`${run()}-old`, { recipe }))).toContain(
      "recipe.optim.gone is 1 there and unset here",
    );
  });

  it("refuses a file, somebody else's folder, and a damaged config", () => {
    writeFileSync(join(scratch(), "file"), "");
    expect(refusal(() => openRunFolder(join(scratch(), "file"), config))).toMatch(
      /file: cannot be made: a file is in the way\. Choose another --out\.$/,
    );
    expect(refusal(() => openRunFolder(join(scratch(), "file", "run"), config))).toMatch(
      /run: cannot be made: a file is in the way/,
    );
    const photos = join(scratch(), "photos");
    mkdirSync(photos);
    for (const name of ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]) writeFileSync(join(photos, name), "");
    expect(refusal(() => openRunFolder(photos, config))).toBe(
      `run folder ${photos}: holds other files (a.jpg, b.jpg, c.jpg, …) and no config.json. Choose a new or an empty folder.`,
    );
    expect(readdirSync(photos)).toHaveLength(4);
    openRunFolder(run(), config)[Symbol.dispose]();
    writeFileSync(join(run(), "config.json"), '{"seed":');
    expect(refusal(() => openRunFolder(run(), config))).toMatch(
      /config\.json: not JSON; .* damaged/,
    );
  });

  it("reads nothing where there is no run", () => {
    expect(refusal(() => readRunConfig(run()))).toMatch(
      /does not exist\. Give the folder that odis pretrain/,
    );
    expect(refusal(() => readRunConfig(scratch()))).toMatch(
      /is not a run folder \(it has no config\.json\)/,
    );
  });
});

describe("the lock", () => {
  it("keeps a second opener out, of this process too, until it is given back", () => {
    const folder = openRunFolder(run(), config);
    expect(refusal(() => openRunFolder(run(), config))).toBe(
      `run folder ${run()} is in use by process ${process.pid}. Wait for it, stop it, or choose another folder.`,
    );
    folder[Symbol.dispose]();
    openRunFolder(run(), config)[Symbol.dispose]();
    expect(existsSync(lockFolder())).toBe(false);
  });

  it("respects another living process, and takes over when that one is gone", async () => {
    openRunFolder(run(), config)[Symbol.dispose]();
    const child = spawn("sleep", ["60"]);
    const holder = { pid: child.pid, host: hostname() };
    leaveLock(JSON.stringify(holder));
    expect(refusal(() => openRunFolder(run(), config))).toContain(
      `in use by process ${child.pid}.`,
    );
    child.kill("SIGKILL");
    await once(child, "exit");
    using folder = openRunFolder(run(), config);
    expect(folder.existed).toBe(true);
    expect(JSON.parse(readFileSync(lockFile(2), "utf8"))).toMatchObject({ pid: process.pid });
  });

  it("is not fooled by a process id that was given to another process", () => {
    openRunFolder(run(), config)[Symbol.dispose]();
    leaveLock(JSON.stringify({ pid: process.pid, host: hostname(), began: "1" }));
    openRunFolder(run(), config)[Symbol.dispose]();
  });

  it("takes over what no process wrote, and cannot judge another machine's", () => {
    openRunFolder(run(), config)[Symbol.dispose]();
    leaveLock('{"pid":');
    openRunFolder(run(), config)[Symbol.dispose]();
    leaveLock(JSON.stringify({ pid: 1, host: "far-away" }));
    expect(refusal(() => openRunFolder(run(), config))).toMatch(
      /in use by process 1 on far-away\. .*; if it is gone for sure, delete .*\/lock\./,
    );
  });

  it("leaves nothing behind of a process that was killed while it claimed it", () => {
    openRunFolder(run(), config)[Symbol.dispose]();
    leaveLock(JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
    writeFileSync(join(lockFolder(), ".4194306"), '{"pid":41');
    openRunFolder(run(), config)[Symbol.dispose]();
    expect(existsSync(lockFolder())).toBe(false);
  });

  it.skipIf(process.platform !== "linux")(
    "is taken from a process that has ended, though nobody has asked after it",
    async () => {
      openRunFolder(run(), config)[Symbol.dispose]();
      // The shell becomes a program that never waits for the child that it has started.
      const line = "sleep 0 & echo $!; exec sleep 60";
      const parent = spawn("sh", ["-c", line], { stdio: ["ignore", "pipe", "inherit"] });
      try {
        const pid = Number(String((await once(parent.stdout, "data"))[0]));
        const state = (): string => readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[2]!;
        while (state() !== "Z") await sleep(10);
        leaveLock(JSON.stringify({ pid, host: hostname() }));
        openRunFolder(run(), config)[Symbol.dispose]();
      } finally {
        parent.kill();
      }
    },
  );

  it("lets exactly one of several processes take over a dead one's lock", async () => {
    openRunFolder(run(), config)[Symbol.dispose]();
    const dead = Number(execFileSync("sh", ["-c", "echo $$"], { encoding: "utf8" }));
    leaveLock(JSON.stringify({ pid: dead, host: hostname() }));
    const script = new URL("./lock-once.mjs", import.meta.url).pathname;
    const children = Array.from({ length: 4 }, () =>
      spawn(process.execPath, [script, lockFolder()], { stdio: ["pipe", "pipe", "inherit"] }),
    );
    const answers = await Promise.all(
      children.map(async (child) => String((await once(child.stdout, "data"))[0]).trim()),
    );
    for (const child of children) child.stdin.end();
    expect(answers.toSorted()).toEqual(["locked", "refused", "refused", "refused"]);
  });
});

describe("differences", () => {
  it("finds leaves on either side, and says how", () => {
    const found = differences({ a: 1, b: { c: [1], d: null } }, { a: 1, b: { c: [2] }, e: "x" });
    expect(found).toEqual([
      { path: "b.c", left: [1], right: [2] },
      { path: "b.d", left: null, right: undefined },
      { path: "e", left: undefined, right: "x" },
    ]);
    expect(describeDifferences(found)).toBe(
      'b.c is [1] there and [2] here; b.d is null there and unset here; e is unset there and "x" here',
    );
    expect(differences(config, structuredClone(config))).toEqual([]);
  });
});
