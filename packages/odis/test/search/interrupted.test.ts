import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { setThreads } from "@odis/torch";
import fc from "fast-check";
import { makeScenes, openSource, openStore, parseDataSpec } from "odis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embed, loadModel } from "../../src/search/index.js";
import { odis, odisProgram } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";
import { bytesOf } from "./bytes.js";

const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
/** In a shard. */
const SHARD = 128;
let folder: string;
let run: string;
let place: string;
let calm: string;

beforeAll(async () => {
  setThreads(1);
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const { train } = await makeScenes(join(folder, "scenes"), { train: 300, test: 1 });
  place = `coco:${train.images},${train.annotations}`;
  run = randomRun(folder, "odis", views).path;
  calm = join(folder, "calm");
  expect((await embedded(calm)).finished).toBe(true);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @param after images after which it is stopped */
async function embedded(out: string, after = Infinity) {
  const { teacher, model } = loadModel(run);
  using _teacher = teacher;
  const source = await openSource(parseDataSpec(place));
  let asked = 0;
  const stop = {
    requested: async () => {
      asked += 1;
      return asked > after;
    },
  };
  return await embed({ teacher, model, source, place, out, stop, patches: true });
}

describe("a store that was stopped", () => {
  it("keeps all but the last batch, counts it right, and ends in the same bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 200 }), { minLength: 1, maxLength: 4 }),
        async (stops) => {
          const out = mkdtempSync(join(folder, "stopped-"));
          let known = 0;
          for (const after of stops) {
            const { done, of, finished } = await embedded(out, after);
            expect(of).toBe(300 - known);
            known += done;
            using store = openStore(out);
            expect(store.size("images")).toBe(known);
            if (finished) break;
            expect(done).toBeLessThanOrEqual(after);
            // 128 vectors are computed at a time, and each image has two at least.
            expect(done).toBeGreaterThan(after - 64);
          }
          expect((await embedded(out)).finished).toBe(true);
          expect(bytesOf(out)).toEqual(bytesOf(calm));
          rmSync(out, { recursive: true });
        },
      ),
      { numRuns: 12 },
    );
  }, 120_000);

  it("can be searched, pruned and told of as far as it is", async () => {
    const out = join(folder, "part");
    const { done } = await embedded(out, SHARD + 100);
    expect(done).toBeGreaterThan(SHARD);
    using store = openStore(out);
    const last = store.size("images") - 1;
    const [hit] = store.search(store.vector("images", last), { kind: "images", top: 1 });
    expect(hit!.row).toBe(last);
    expect(readdirSync(join(out, "shards"))).toContain(`000001-${done - SHARD}.jsonl`);
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("by %s: ends with %i and says how to go on", async (signal, code) => {
    const out = join(folder, signal);
    const words = ["embed", run, place, "--out", out, "--threads", "1"];
    const child = spawn(process.execPath, [odisProgram, ...words], { stdio: "pipe" });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => (stdout += String(text)));
    child.stderr.on("data", (text) => (stderr += String(text)));
    const ended = once(child, "close");
    while (!existsSync(join(out, "shards", "000000.safetensors"))) await sleep(5);
    child.kill(signal);
    expect((await ended)[0]).toBe(code);
    expect(stderr).toContain(`\n${signal}: ends after what is being computed, and keeps it.\n`);
    const [, done, of] = /^stopped after (\d+) of (\d+) images, which are kept; /.exec(stdout)!;
    expect(Number(done)).toBeLessThan(Number(of));
    expect(stdout).toContain(`go on with: odis ${words.join(" ")}`);
    using store = openStore(out);
    expect(store.size("images")).toBe(Number(done));
  });
});

describe("patches", () => {
  it("are those of the teacher, to float16's precision, image by image", async () => {
    const { teacher } = loadModel(run);
    using _teacher = teacher;
    const source = await openSource(parseDataSpec(place));
    using store = openStore(calm);
    for (const image of [0, SHARD - 1, SHARD, 299]) {
      const wanted = teacher.patchFeatures(await source.read(image));
      const got = store.patches(image);
      expect(got).toHaveLength(wanted.length);
      // 11 bits; vectors of many images at once round a little differently
      for (const [at, value] of wanted.entries())
        expect(Math.abs(got[at]! - value)).toBeLessThanOrEqual(2e-3 * Math.max(1, Math.abs(value)));
    }
    expect(() => store.patches(300)).toThrow("store: has no row 300 of its 300 images");
  });

  it("are refused by name where they are not, and a store is not begun one way and continued the other", () => {
    const bare = join(folder, "bare");
    const words = ["embed", run, `${place}#limit=3`, "--out", bare];
    expect(odis(words).code).toBe(0);
    using store = openStore(bare);
    expect(() => store.patches(0)).toThrow(
      `store ${bare}: keeps no patches. Embed into another folder with them: odis embed … --patches`,
    );
    const other = odis([...words, "--patches"]);
    expect(other.code).toBe(4);
    expect(other.stderr).toContain(
      `odis embed: store ${bare}: was begun without patches; got the contrary. Go on as it was begun, or embed into another folder.\n`,
    );
  });

  it("are kept on without the flag, as the store was begun", () => {
    const [out, asked] = [join(folder, "unasked"), join(folder, "asked")];
    const words = (limit: number, to: string): string[] => [
      "embed",
      run,
      `${place}#limit=${limit}`,
      "--out",
      to,
    ];
    for (const to of [out, asked]) expect(odis([...words(3, to), "--patches"]).code).toBe(0);
    expect(odis([...words(7, asked), "--patches"]).code).toBe(0);
    const { code, stderr } = odis(words(7, out));
    expect(stderr).toContain("patches: 64 of ");
    expect(code).toBe(0);
    expect(bytesOf(out)).toEqual(bytesOf(asked));
  });

  it("are announced with their size, which is that of the files but for their headers", () => {
    const out = join(folder, "announced");
    const words = ["embed", run, `${place}#limit=40`, "--out", out, "--patches"];
    const { stderr } = odis(words);
    const { patches, model } = JSON.parse(readFileSync(join(out, "store.json"), "utf8"));
    expect(patches).toBe((32 / 4) ** 2);
    const total = 40 * patches * model.width * 2;
    const said =
      /patches: 64 of (\d+) numbers an image, as float16 \S+ k?B; 40 images take (\d+) kB/;
    const [, width, kilobytes] = said.exec(stderr)!;
    expect(Number(width)).toBe(model.width);
    expect(Number(kilobytes)).toBe(Math.round(total / 1000));
    const bytes = readFileSync(join(out, "shards", "000000.patches.safetensors"));
    expect(bytes.length - Number(bytes.readBigUInt64LE(0)) - 8).toBe(total);
    expect(odis(words).stderr).not.toContain("patches: ");
  });
});
