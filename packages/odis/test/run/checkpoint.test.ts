import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { TensorEntry } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { RunError } from "../../src/core/errors.js";
import { listCheckpoints, loadCheckpoint, loadLatestCheckpoint } from "../../src/run/checkpoint.js";
import { allFinite, dropCheckpointsAfter, saveCheckpoint } from "../../src/run/save.js";
import { scratchFolder } from "../scratch.js";
import { canMount, shellOnSmallDisk } from "../small-disk.js";

const scratch = scratchFolder();
const folder = (): string => join(scratch(), "checkpoints");
const config = { seed: 0, optim: { lr: 1 } };
const loop = new URL("./checkpoint-loop.mjs", import.meta.url).pathname;

function tensors(value: number): readonly TensorEntry[] {
  return [
    {
      name: "weight",
      dtype: "float32",
      shape: [2, 3],
      data: () => new Float32Array(6).fill(value),
    },
    {
      name: "count",
      dtype: "int64",
      shape: [],
      data: () => BigInt64Array.of(BigInt(Math.trunc(value))),
    },
  ];
}
const save = (step: number, keep = 2): string =>
  saveCheckpoint(folder(), { step, config, state: { epoch: 3, rng: "abc" } }, tensors(step), keep);

const names = (): readonly string[] => readdirSync(folder()).toSorted();

function latest(): { path: string | undefined; skipped: readonly string[] } {
  const skipped: string[] = [];
  const found = loadLatestCheckpoint(folder(), (torn, reason) =>
    skipped.push(`${torn}: ${reason}`),
  );
  found?.tensors.close();
  return { path: found?.path, skipped };
}
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof RunError) return error.message;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("saveCheckpoint and loadCheckpoint", () => {
  it("give back tensors, state and config", () => {
    const path = save(1234);
    expect(path).toBe(join(folder(), "step-00001234"));
    expect(readdirSync(path).toSorted()).toEqual(["state.json", "tensors.safetensors"]);
    const { step, state, tensors: file, config: saved } = loadCheckpoint(path, config);
    expect({ step, state, saved }).toEqual({
      step: 1234,
      state: { epoch: 3, rng: "abc" },
      saved: config,
    });
    expect(file.info("weight")).toEqual({ dtype: "float32", shape: [2, 3] });
    expect(file.read("weight")).toEqual(new Float32Array(6).fill(1234));
    expect(file.read("count")).toEqual(BigInt64Array.of(1234n));
    file.close();
  });

  it("keep the newest ones", () => {
    for (const step of [1, 2, 3, 4]) save(step, 3);
    expect(names()).toEqual(["step-00000002", "step-00000003", "step-00000004"]);
    save(5, 1);
    expect(names()).toEqual(["step-00000005"]);
  });

  it("sort by number, past the padding too", () => {
    for (const step of [99_999_999, 100_000_000]) save(step);
    expect(latest().path).toMatch(/step-100000000$/);
  });

  it("clear away what a killed process left, and later steps of a history that was left", () => {
    save(1);
    mkdirSync(join(folder(), ".step-2.tmp"));
    mkdirSync(join(folder(), ".step-00000001.old"));
    save(5);
    truncateSync(join(folder(), "step-00000005", "tensors.safetensors"), 10);
    save(3, 1);
    expect(names()).toEqual(["step-00000003"]);
  });

  it("leave a whole checkpoint of the same step alone, and replace a torn one", () => {
    const path = save(7);
    const { ino } = statSync(path);
    save(7);
    expect(statSync(path).ino).toBe(ino);
    rmSync(join(path, "state.json"));
    save(7);
    expect(latest()).toEqual({ path, skipped: [] });
    expect(names()).toEqual(["step-00000007"]);
  });

  it("leave nothing behind when a tensor cannot be had, and pass the reason on", () => {
    save(1);
    const broken: TensorEntry = {
      name: "x",
      dtype: "float32",
      shape: [1],
      data: () => {
        throw new Error("freed");
      },
    };
    const content = { step: 2, config, state: {} };
    expect(() => saveCheckpoint(folder(), content, [broken], 2)).toThrow(/^freed$/);
    expect(names()).toEqual(["step-00000001"]);
  });

  it("go back: later checkpoints are dropped on demand", () => {
    for (const step of [1, 2, 3]) save(step, 5);
    dropCheckpointsAfter(folder(), 1);
    expect(names()).toEqual(["step-00000001"]);
    dropCheckpointsAfter(join(scratch(), "none"), 1);
  });
});

describe("a checkpoint that is torn", () => {
  const tear: readonly [string, (path: string) => void, RegExp][] = [
    [
      "cut",
      (path) => truncateSync(join(path, "tensors.safetensors"), 50),
      /torn: tensors\.safetensors has 50 of \d+ bytes/,
    ],
    [
      "empty",
      (path) => truncateSync(join(path, "tensors.safetensors"), 0),
      /torn: tensors\.safetensors has 0 of/,
    ],
    [
      "one bit turned",
      (path) => {
        const file = join(path, "tensors.safetensors");
        const bytes = readFileSync(file);
        bytes[bytes.length - 3]! ^= 1;
        writeFileSync(file, bytes);
      },
      /torn: tensors\.safetensors is not what was written \(its SHA-256 differs\)/,
    ],
    [
      "no tensors",
      (path) => rmSync(join(path, "tensors.safetensors")),
      /torn: tensors\.safetensors is missing/,
    ],
    ["no state", (path) => rmSync(join(path, "state.json")), /torn: state\.json is missing/],
    [
      "half a state",
      (path) => truncateSync(join(path, "state.json"), 30),
      /torn: state\.json is not JSON/,
    ],
    [
      "a state of zeros",
      (path) => writeFileSync(join(path, "state.json"), Buffer.alloc(300)),
      /torn: state\.json is not JSON/,
    ],
    [
      "nothing in it",
      (path) => {
        rmSync(path, { recursive: true });
        mkdirSync(path);
      },
      /torn: state\.json is missing/,
    ],
  ];

  it.each(tear)(
    "%s: is refused with a sentence, and skipped for the one before",
    (_, damage, reason) => {
      const before = save(1);
      const path = save(2);
      damage(path);
      const text = refusal(() => loadCheckpoint(path));
      expect(text.startsWith(`checkpoint ${path}: `)).toBe(true);
      expect(text).toMatch(reason);
      expect(text).toMatch(/Use another checkpoint of the run; this one cannot be mended\.$/);
      const found = latest();
      expect(found.path).toBe(before);
      expect(found.skipped).toHaveLength(1);
      expect(found.skipped[0]).toMatch(reason);
    },
  );

  it("is not passed over when all are: the run would begin at step 0", () => {
    for (const step of [1, 2]) truncateSync(join(save(step), "state.json"), 0);
    expect(refusal(latest)).toBe(
      `${folder()}: every checkpoint is torn (${folder()}/step-00000002: state.json is not JSON; ` +
        `${folder()}/step-00000001: state.json is not JSON). Copy them from a backup, or delete them ` +
        `to begin at step 0.`,
    );
    expect(names()).toHaveLength(2);
  });
});

describe("a checkpoint that cannot be used for another reason", () => {
  const state = (path: string): string => join(path, "state.json");
  const edit = (path: string, change: Readonly<Record<string, unknown>>): void => {
    const there = JSON.parse(readFileSync(state(path), "utf8")) as object;
    writeFileSync(state(path), JSON.stringify({ ...there, ...change }));
  };
  const replace = (path: string, make: (place: string) => void): void => {
    rmSync(path);
    make(path);
  };
  const pipe = (path: string): unknown => spawnSync("mkfifo", [path]);
  const refused: readonly [string, (path: string) => void, RegExp][] = [
    [
      "of a later release",
      (path) => edit(path, { version: 2 }),
      /written by another release: version 2, this one reads 1\. Use the release that made it\.$/,
    ],
    [
      "with another step in its state",
      (path) => edit(path, { step: 4000 }),
      /state\.json says step 4000, the folder's name step 2; one of them was changed\./,
    ],
    ["of another program", (path) => writeFileSync(state(path), "{}"), /not a checkpoint of odis/],
    [
      "with garbage",
      (path) => writeFileSync(state(path), "garbage"),
      /state\.json is not JSON\. Restore it from a copy, or delete this checkpoint\.$/,
    ],
    [
      "with other files",
      (path) => {
        rmSync(state(path));
        writeFileSync(join(path, "weights.bin"), "");
      },
      /not a checkpoint: it has no state\.json/,
    ],
    [
      "a folder for its state",
      (path) => replace(state(path), mkdirSync),
      /state\.json is a folder; wanted a regular file/,
    ],
    [
      "a pipe for its state",
      (path) => replace(state(path), pipe),
      /state\.json is a pipe; wanted a regular file/,
    ],
    [
      "a pipe for its tensors",
      (path) => replace(join(path, "tensors.safetensors"), pipe),
      /tensors\.safetensors is no regular file/,
    ],
    [
      "a file",
      (path) => {
        rmSync(path, { recursive: true });
        writeFileSync(path, "");
      },
      /state\.json does not exist: a part of its path is no folder/,
    ],
  ];

  it.each(refused)("%s: is refused by name, never passed over or replaced", (_, change, reason) => {
    save(1);
    const path = save(2);
    change(path);
    expect(refusal(() => loadCheckpoint(path))).toMatch(reason);
    expect(refusal(latest)).toMatch(reason);
    expect(refusal(latest).startsWith(`checkpoint ${path}: `)).toBe(true);
    expect(refusal(() => save(2))).toMatch(reason);
    expect(names()).toEqual(["step-00000001", "step-00000002"]);
  });

  it("does not exist, or was made with another config", () => {
    expect(refusal(() => loadCheckpoint(join(folder(), "step-00000009")))).toMatch(
      /does not exist/,
    );
    const path = save(1);
    expect(refusal(() => loadCheckpoint(path, { seed: 0, optim: { lr: 2 } }))).toBe(
      `checkpoint ${path}: made with another config: optim.lr is 1 there and 2 here. Give the same settings, or begin a new run.`,
    );
  });

  it("is nobody's latest when there is none", () => {
    expect(latest()).toEqual({ path: undefined, skipped: [] });
    mkdirSync(folder());
    writeFileSync(join(folder(), "notes.txt"), "");
    expect(latest()).toEqual({ path: undefined, skipped: [] });
    expect(listCheckpoints(folder())).toEqual([]);
  });
});

describe("values that are not finite", () => {
  it("are not saved", () => {
    const path = save(1);
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const content = { step: 2, config, state: {} };
      const [weight] = tensors(value);
      expect(refusal(() => saveCheckpoint(folder(), content, [weight!], 2))).toBe(
        `checkpoint of step 2: weight holds values that are not finite; it was not saved, ${path} ` +
          `stands. Try a lower optim.lr, or look at what was set in optim and loss.`,
      );
    }
    expect(names()).toEqual(["step-00000001"]);
  });

  it("are told from sums that overflow", () => {
    const large = 3e38;
    expect(allFinite(new Float32Array(4).fill(large))).toBe(true);
    expect(allFinite(new Float64Array([1e308, 1e308, -1e308]))).toBe(true);
    expect(allFinite(new Float32Array([large, -Infinity, Infinity]))).toBe(false);
    expect(allFinite(new Float32Array([0, Number.NaN]))).toBe(false);
    expect(allFinite(BigInt64Array.of(1n))).toBe(true);
  });
});

describe("a process that is killed while it writes", () => {
  it("always leaves one of the two newest checkpoints, whole", async () => {
    for (let round = 0; round < 12; round += 1) {
      // Each round goes on in the folder that the killed one left.
      const child = spawn(process.execPath, [loop, folder(), "1000000", "200000"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let output = "";
      child.stdout.on("data", (text) => {
        output += String(text);
      });
      while (!output.includes("saved 3\n")) await once(child.stdout, "data");
      await new Promise((resolve) => {
        setTimeout(resolve, Math.random() * 60);
      });
      child.kill("SIGKILL");
      await once(child, "close");
      const saved = Number(/saved (\d+)\n$/.exec(output)?.[1]);
      const found = loadLatestCheckpoint(folder(), () => undefined);
      if (!found) throw new Error(`round ${round}: no checkpoint after "saved ${saved}"`);
      const { step, tensors: file } = found;
      // The kill may come after the rename and before the line that tells of it.
      expect([saved, saved + 1]).toContain(step);
      expect(file.read("teacher").every((value) => value === step + 0.25)).toBe(true);
      file.close();
    }
  }, 300_000);
});

const node = (last: number, floats: number): string =>
  `'${process.execPath}' '${loop}' checkpoints ${last} ${floats}`;

describe.skipIf(!canMount)("a full disk", () => {
  it("is refused with what it needs and what there is; the previous checkpoint stands", () => {
    // 7 MB hold two checkpoints of 2.4 MB, not a third one.
    const { stdout, status } = shellOnSmallDisk(
      join(scratch(), "disk"),
      "size=7m",
      `${node(9, 200_000)}; code=$?; ls -A checkpoints; du -s checkpoints/* | wc -l; exit $code`,
    );
    expect(stdout).toMatch(
      /^saved 1\nsaved 2\nRunError: checkpoint of step 3: disk full: it needs 4 MB, free are 3 MB in checkpoints; checkpoints\/step-00000002 stands\. Make room, then resume\.\nstep-00000001\nstep-00000002\n/,
    );
    expect(status).toBe(4);
  });

  it("is noticed in the middle of writing, too", () => {
    // Room for bytes, none for another file: the file system says so only when asked for it.
    const { stdout, status } = shellOnSmallDisk(
      join(scratch(), "disk"),
      "size=64m,nr_inodes=9",
      `${node(9, 1000)}; code=$?; ls -A checkpoints; cat checkpoints/step-00000002/state.json > /dev/null && echo intact; exit $code`,
    );
    expect(stdout).toMatch(
      /^saved 1\nsaved 2\nRunError: checkpoint of step 3: disk full: .*; checkpoints\/step-00000002 stands\. Make room, then resume\.\nstep-00000001\nstep-00000002\nintact\n/,
    );
    expect(status).toBe(4);
  });

  it("is told from other refusals of the file system", () => {
    const path = save(1);
    const { stdout } = spawnSync(
      "sh",
      ["-c", `ulimit -f 100; exec '${process.execPath}' '${loop}' '${folder()}' 2 100000`],
      { encoding: "utf8" },
    );
    expect(stdout).toMatch(
      /checkpoint of step 1: cannot be written: the file would be larger than the system allows \(ulimit -f\)/,
    );
    expect(stdout).toContain(`; ${path} stands.`);
    cpSync(path, join(scratch(), "copy"), { recursive: true });
    loadCheckpoint(join(scratch(), "copy")).tensors.close();
  });
});
