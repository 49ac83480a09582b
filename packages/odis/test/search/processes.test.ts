import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeScenes, openStore } from "odis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { odis } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";
import { launch, launchRanks, variables } from "../run/ranks.js";
import { freePort } from "../train/processes.js";
import { bytesOf } from "./bytes.js";

vi.setConfig({ testTimeout: 180_000 });

const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
let folder: string;
let run: string;
let place: string;
let one: string;

const line = (out: string, ...more: string[]): string[] => [
  "embed",
  run,
  place,
  "--out",
  out,
  "--threads",
  "1",
  "--patches",
  ...more,
];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const { train } = await makeScenes(join(folder, "scenes"), { train: 900, test: 1 });
  place = `coco:${train.images},${train.annotations}`;
  run = randomRun(folder, "odis", views).path;
  one = join(folder, "one");
  expect(odis(line(one)).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shards = (out: string, name: string): Promise<void> =>
  vi.waitFor(() => expect(existsSync(join(out, "shards", `${name}.jsonl`))).toBe(true), {
    timeout: 60_000,
    interval: 5,
  });

/** What `odis embed` complained of: lines of its own. */
const complaints = (said: string): string[] =>
  said.split("\n").filter((text) => text.startsWith("odis embed: "));

describe("several processes make the store of one, byte for byte", () => {
  it("started by --processes, the first of them speaking", () => {
    const out = join(folder, "started");
    const { code, stdout, stderr } = odis(line(out, "--processes", "3"));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^\S+started: [\d,]+ objects in 900 images, 900 images added\n/);
    expect(stderr.match(/coco: 900 images/g)).toHaveLength(1);
    expect(bytesOf(out)).toEqual(bytesOf(one));
  });

  it("started as torchrun does", async () => {
    const out = join(folder, "torchrun");
    const ranks = await launchRanks(2, line(out));
    for (const { ended } of ranks) expect((await ended)[0]).toBe(0);
    expect(ranks[1]!.said()).toBe("");
    expect(bytesOf(out)).toEqual(bytesOf(one));
  });

  it.each([0, 1])(
    "after rank %i was killed: one sentence, and the same line goes on",
    async (lost) => {
      const out = join(folder, `killed-${lost}`);
      const ranks = await launchRanks(2, line(out));
      await shards(out, "000002");
      ranks[lost]!.child.kill("SIGKILL");
      const other = ranks[1 - lost]!;
      expect((await other.ended)[0]).toBe(4);
      const said = complaints(other.said());
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(
        new RegExp(
          `^odis embed: .*rank ${lost}.* store ${out} stands with \\d+ images\\. Run the same line again to go on, with ` +
            "as many processes or with another number of them\\.$",
        ),
      );
      expect(odis(line(out)).code).toBe(0);
      expect(bytesOf(out)).toEqual(bytesOf(one));
    },
  );

  it("stopped by a signal, and gone on with by one", async () => {
    const out = join(folder, "stopped");
    const parent = launch(line(out, "--processes", "2"));
    await shards(out, "000002");
    await sleep(Math.round(200 * Math.random()));
    parent.child.kill("SIGINT");
    expect((await parent.ended)[0]).toBe(130);
    expect(
      parent.said().match(/stopped after \d+ of 900 images, which are kept; go on with: /g),
    ).toHaveLength(1);
    using store = openStore(out);
    expect(store.size("images")).toBeGreaterThan(128);
    expect(store.size("images")).toBeLessThan(900);
    expect(odis(line(out, "--processes", "3")).code).toBe(0);
    expect(bytesOf(out)).toEqual(bytesOf(one));
  });
});

describe("a signal to one that waits for the others", () => {
  it.each([0, 1])("ends rank %i at once: there is nothing to keep", async (rank) => {
    const waiting = launch(line(join(folder, "waiting")), variables(rank, 2, await freePort()));
    // Loaded, and past all that it does before it waits.
    await sleep(3000);
    waiting.child.kill("SIGINT");
    expect(await waiting.ended).toEqual([null, "SIGINT"]);
    expect(waiting.said()).toBe("");
  });
});

describe("what several processes cannot do is said once", () => {
  it("embed with another network than the store's", () => {
    const other = randomRun(folder, "odis", views).path;
    const ended = odis(["embed", other, place, "--out", one, "--processes", "2"]);
    expect(ended.code).toBe(4);
    expect(complaints(ended.stderr)).toHaveLength(1);
    expect(ended.stderr).toContain(`store ${one}: its vectors are of ${run} (odis`);
  });

  it("embed different libraries", async () => {
    const out = join(folder, "different");
    const port = await freePort();
    const ranks = ["#limit=300", "#limit=200"].map((some, rank) =>
      launch(
        ["embed", run, `${place}${some}`, "--out", out, "--threads", "1"],
        variables(rank, 2, port),
      ),
    );
    for (const { ended } of ranks) expect((await ended)[0]).toBe(4);
    const said = complaints(ranks.map((rank) => rank.said()).join(""));
    expect(said).toEqual([
      "odis embed: rank 1 of 2 sees other images, or another store, than rank 0; wanted all to see the same folders.",
    ]);
  });
});
