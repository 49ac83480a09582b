import { execFileSync } from "node:child_process";
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
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { describeFailure } from "../../dist/cli/failure.js";
import { parseDataSpec } from "../../dist/data/index.js";
import { evaluateRun } from "../../dist/evaluate/index.js";
import { recipeLayers, resolveRecipe } from "../../dist/recipe/index.js";
import { writeReport } from "../../dist/report/index.js";
import { exportRun, pretrain } from "../../dist/run/index.js";
import { scratchFolder } from "../scratch.js";
import { tinyData, tinyValues } from "./tiny-run.js";

// Every file and folder of a run, replaced by what it is not, under every command that reads it. A
// file that a run learns to write takes part by itself. All of it compiled: data workers are files.

vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 });

const scratch = scratchFolder();
let data: string;
let whole: string;

const commands = {
  pretrain: (run: string) =>
    pretrain({
      recipe: resolveRecipe([
        ...recipeLayers("odis", "vit-ti"),
        { source: "test", values: { ...tinyValues, optim: { batch: 4, steps: 4 } } },
      ]),
      data: parseDataSpec(`coco:${data}`),
      out: run,
      threads: 1,
      workers: 1,
      checkpointSteps: 2,
    }),
  evaluate: (run: string) =>
    evaluateRun(run, { data: { train: parseDataSpec(`coco:${data}`) }, limit: 12, k: [1] }),
  report: (run: string) => writeReport(run),
  export: async (run: string) => exportRun(run, { out: `${run}.safetensors`, format: "odis" }),
} as const satisfies Record<string, (run: string) => Promise<unknown>>;

/** What can be found in a file's or folder's place; the sentence that a refusal must have. */
const damages = {
  empty: (path: string): void => {
    if (statSync(path).isDirectory()) {
      rmSync(path, { recursive: true });
      mkdirSync(path);
    } else truncateSync(path, 0);
  },
  garbage: (path: string): void => {
    rmSync(path, { recursive: true });
    writeFileSync(path, Buffer.from("\u0000\u0001garbage\u00ff\n{]\n"));
  },
  "a folder": (path: string): void => {
    rmSync(path, { recursive: true });
    mkdirSync(path);
  },
  "a folder with something in it": (path: string): void => {
    rmSync(path, { recursive: true });
    mkdirSync(path);
    writeFileSync(join(path, "x"), "");
  },
  "a pipe": (path: string): void => {
    rmSync(path, { recursive: true });
    execFileSync("mkfifo", [path]);
  },
} as const;

beforeAll(async () => {
  data = await tinyData();
  whole = join(data, "run");
  await commands.pretrain(whole);
  await commands.evaluate(whole);
  await commands.report(whole);
});
afterAll(() => rmSync(data, { recursive: true }));

/** Everything below a folder, without the names that only one run has. */
function entries(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return [relative(whole, path), ...(entry.isDirectory() ? entries(path) : [])];
  });
}

/** What is wrong with how a command ends that meets a damaged folder; undefined if nothing is. */
async function fault(command: keyof typeof commands, run: string, place: string) {
  try {
    await commands[command](run);
    return undefined;
  } catch (error) {
    const { text, exitCode } = describeFailure(error, command);
    const isSentence = new RegExp(`^odis ${command}: \\S[^\n]*\\.$`).test(text);
    const isRight =
      exitCode === 4 &&
      isSentence &&
      text.includes(place.split("/").at(-1)!) &&
      !/undefined|\[object|\bE[A-Z]{3,}\b/.test(text);
    return isRight ? undefined : `${place}: ${exitCode} ${text}`;
  }
}

describe.each(Object.keys(commands) as (keyof typeof commands)[])("odis %s", (command) => {
  it.each(Object.keys(damages) as (keyof typeof damages)[])(
    "finds %s in the place of anything in a run folder, and works or says so in a sentence",
    async (damage) => {
      const there = entries(whole);
      expect(there.length).toBeGreaterThan(12);
      const faults: string[] = [];
      for (const [index, place] of [...there, "lock", "init.json"].entries()) {
        const run = join(scratch(), String(index));
        cpSync(whole, run, { recursive: true });
        if (!there.includes(place)) writeFileSync(join(run, place), ""); // not there just now
        damages[damage](join(run, place));
        faults.push(...[await fault(command, run, place)].filter((text) => text !== undefined));
        rmSync(run, { recursive: true });
      }
      expect(faults).toEqual([]);
    },
  );
});

it("metrics of any numbers are reported", async () => {
  const run = join(scratch(), "run");
  cpSync(whole, run, { recursive: true });
  const file = join(run, "metrics.jsonl");
  const [row] = readFileSync(file, "utf8").split("\n");
  const rows = [1e308, -1e308, 1e-320, 0, null, "x", [], {}].map((value, step) =>
    JSON.stringify(
      Object.fromEntries(Object.keys(JSON.parse(row!) as object).map((key) => [key, value])),
      (key, old: unknown) => (key === "step" ? step * 1e14 : old),
    ),
  );
  writeFileSync(file, `${rows.join("\n")}\n`);
  await commands.report(run);
});
