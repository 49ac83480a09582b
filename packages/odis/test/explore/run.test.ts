import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStore } from "../../src/search/index.js";
import { odis, odisProgram } from "../cli/odis.js";
import { tinyRun } from "../run/tiny-run.js";
import { photos } from "./library.js";

let folder: string;
const store = join("run", "explore-store", "step-00000002");
function train(out: string, steps: string): void {
  const { code, stderr } = odis(tinyRun("photos", out, "--steps", steps), { cwd: folder });
  expect({ code, stderr }).toMatchObject({ code: 0 });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  cpSync(photos, join(folder, "photos"), { recursive: true });
  train("run", "2");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts the explorer; when it serves, asks it for the store's facts and ends it. */
async function explored(...words: readonly string[]) {
  const child = spawn(process.execPath, [odisProgram, "explore", ...words, "--port", "0"], {
    cwd: folder,
  });
  let [stdout, stderr] = ["", ""];
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const facts = await new Promise<{ images: number; objects: number; networks: object[] }>(
    (resolve, reject) => {
      child.on("exit", () => reject(new Error(stderr)));
      child.stdout.on("data", (chunk: Buffer) => {
        stdout += chunk.toString();
        const [url] = /http:\S+/.exec(stdout) ?? [];
        if (url && stdout.includes("\n"))
          fetch(`${url}api/store`).then((answer) => resolve(answer.json() as never), reject);
      });
    },
  );
  child.kill("SIGINT");
  await once(child, "exit");
  return { facts, stderr };
}

describe("odis explore RUN", () => {
  it("embeds some of the run's own images, once, and adds to them when more are wanted", async () => {
    const first = await explored("run", "--limit", "2");
    expect(first.facts).toMatchObject({
      images: 2,
      networks: [{ name: "step-00000002", model: "odis vit-s, 16 pixels" }],
    });
    expect(first.stderr).toContain(
      `run is a run: the first images of its data set coco:photos, 2 at most, are embedded once into ${store}, all of which is explored\n`,
    );
    const shard = join(folder, store, "shards", "000000.safetensors");
    const [bytes, { mtimeMs }] = [readFileSync(shard), statSync(shard)];
    const again = await explored("run", "--limit", "2");
    expect(again.facts).toEqual({ ...first.facts, version: expect.any(String) });
    const more = await explored("run");
    expect(more.facts.images).toBe(6);
    expect(readFileSync(shard)).toEqual(bytes);
    expect(statSync(shard).mtimeMs).toBe(mtimeMs);
    // A store like any other.
    using opened = openStore(join(folder, store));
    expect(opened.size("images")).toBe(6);
  });

  it("explores the checkpoint it has embedded, though the run is trained on", async () => {
    train("longer", "3");
    await explored("run");
    const { from } = openStore(join(folder, store)).model;
    expect(from).toBe(join(folder, "run", "checkpoints", "step-00000002"));
    const newer = join("checkpoints", "step-00000003");
    cpSync(join(folder, "longer", newer), join(folder, "run", newer), { recursive: true });
    {
      using opened = openStore(join(folder, store));
      expect(opened.network().width).toBe(8);
    }
    const { facts } = await explored("run", "--limit", "1");
    expect(facts).toMatchObject({ images: 1, networks: [{ name: "step-00000003" }] });
  });

  it("finds mistakes before it embeds anything", () => {
    train("fresh", "2");
    mkdirSync(join(folder, "full", "x"), { recursive: true });
    for (const [words, code, said] of [
      [
        ["--static", "full"],
        4,
        "full: holds something already (x); wanted a new or an empty folder",
      ],
      [["full"], 4, "full"],
    ] as const) {
      const done = odis(["explore", "fresh", ...words], { cwd: folder });
      expect([done.code, done.stderr.trimEnd().split("\n")]).toEqual([
        code,
        [expect.stringContaining(said)],
      ]);
      expect(existsSync(join(folder, "fresh", "explore-store"))).toBe(false);
    }
  });

  it.each([
    ["nowhere", "nowhere: does not exist. Make a store: odis embed RUN PLACE --out STORE"],
    [
      "empty",
      "empty: is no store (it has no store.json) and no run (it has no config.json). Make a store: odis embed RUN PLACE --out STORE",
    ],
    [
      "vit-mini-scenes",
      "vit-mini-scenes: comes with odis, and without images. Embed a library: odis embed vit-mini-scenes PLACE --out STORE",
    ],
  ])("says what %s lacks", (word, said) => {
    mkdirSync(join(folder, "empty"), { recursive: true });
    const { code, stderr } = odis(["explore", word], { cwd: folder });
    expect([code, stderr]).toEqual([4, `odis explore: ${said}\n`]);
  });
});
