import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeScenes } from "odis";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readOutcomes } from "../../src/evaluate/outcome.js";
import { odis } from "../cli/odis.js";
import { childrenOf, launch, launchRanks, type Running, variables } from "../run/ranks.js";
import { tinyData, tinyRun } from "../run/tiny-run.js";
import { freePort } from "../train/processes.js";

vi.setConfig({ testTimeout: 300_000 });

const suites = ["knn", "centroid", "linear", "few-shot", "retrieval", "dense", "attributes"];
let folder: string;
let trained: string;
let bank: string;
let test: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const made = await makeScenes(join(folder, "scenes"), { train: 41, test: 23 });
  bank = `coco:${made.train.images},${made.train.annotations}`;
  test = `coco:${made.test.images},${made.test.annotations}`;
  trained = join(folder, "run");
  expect(odis(tinyRun(await tinyData(join(folder, "tiny")), trained, "--steps", "2")).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The run once more, which nobody has evaluated. */
function copy(name: string): string {
  const run = join(folder, name);
  cpSync(trained, run, { recursive: true });
  return run;
}

const line = (run: string, ...more: string[]): string[] => [
  ..."evaluate --threads 1 --epochs 10".split(" "),
  run,
  "--train",
  bank,
  "--test",
  test,
  ...more,
];

const everything = (): string[] => [
  "--baselines",
  "no",
  "--suite",
  [...suites, "transfer"].join(","),
  "--mode",
  "mask,none,crop",
  "--dense-epochs",
  "2",
  "--transfer",
  `scenes=${bank}::${test}`,
];

/** What an evaluation has written, its outcomes apart, and what it has said. */
function written(run: string) {
  const text = readFileSync(join(run, "evaluation.json"), "utf8");
  const { outcomes, ...evaluation } = JSON.parse(text) as { outcomes: string };
  return { evaluation, outcomes: readOutcomes(join(run, "outcomes.json"), outcomes) };
}

/** All numbers of something, and all else of it. */
function parted(value: unknown): { numbers: number[]; rest: string } {
  const numbers: number[] = [];
  const rest = JSON.stringify(value, (_, one: unknown) => {
    if (typeof one !== "number") return one;
    numbers.push(one);
    return 0;
  });
  return { numbers, rest };
}

/** The same figures, items and texts; numbers may differ by the rounding of other sums. */
function expectSame(run: string, one: string): void {
  const [found, wanted] = [written(run), written(one)];
  const [mine, theirs] = [parted(found.evaluation), parted(wanted.evaluation)];
  expect(mine.rest).toBe(theirs.rest);
  expect(mine.numbers).toHaveLength(theirs.numbers.length);
  for (const [at, number] of mine.numbers.entries())
    expect(number).toBeCloseTo(theirs.numbers[at]!, 4);
  expect([...found.outcomes.keys()]).toEqual([...wanted.outcomes.keys()]);
  for (const [name, outcome] of wanted.outcomes) {
    const other = found.outcomes.get(name)!;
    expect({ name, images: other.images }).toEqual({ name, images: outcome.images });
    if (outcome.kind === "share" || outcome.kind === "iou")
      expect({ name, other }).toEqual({ name, other: outcome });
  }
}

/** What `odis evaluate` complained of: lines of its own. */
const complaints = (said: string): string[] =>
  said.split("\n").filter((text) => text.startsWith("odis evaluate: "));

const codesOf = (ranks: readonly Running[]): Promise<unknown[]> =>
  Promise.all(ranks.map(async ({ ended }) => (await ended)[0]));

describe("several processes find what one does", () => {
  let one: string;
  let said: string;
  beforeAll(() => {
    one = copy("one");
    const { code, stdout, stderr } = odis(line(one, ...everything()));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    said = stdout;
  });

  it.each([2, 3])("%i, by every suite, started by --processes", (count) => {
    const run = copy(`started-${count}`);
    const { code, stdout, stderr } = odis(line(run, ...everything(), "--processes", `${count}`));
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout.replaceAll(run, one)).toBe(said);
    expectSame(run, one);
    expect(existsSync(join(run, "report.html"))).toBe(true);
  });

  it("started as torchrun does, the first of them speaking", async () => {
    const run = copy("torchrun");
    const ranks = await launchRanks(2, line(run, ...everything()));
    expect(await codesOf(ranks)).toEqual([0, 0]);
    expect(ranks[1]!.said()).toBe("");
    expectSame(run, one);
  });

  it("where images are held out, and some show the same picture", () => {
    // Twice the same data, so that every picture is there once more, in another process's share.
    const mix = join(folder, "twice.json");
    writeFileSync(mix, JSON.stringify({ parts: [{ data: bank }, { data: bank }] }));
    const twice = ["--train", `mix:${mix}`, "--baselines", "no"];
    const words = (run: string): string[] => [
      "evaluate",
      run,
      ..."--threads 1 --epochs 10 --suite knn,linear,dense".split(" "),
      ...twice,
    ];
    const [alone, both] = [copy("held-1"), copy("held-2")];
    expect(odis(words(alone))).toMatchObject({ code: 0 });
    expect(odis([...words(both), "--processes", "2"])).toMatchObject({ code: 0 });
    expectSame(both, alone);
    const { evaluation } = written(alone) as unknown as {
      evaluation: { train: { repeated: readonly unknown[] } };
    };
    expect(evaluation.train.repeated.length).toBeGreaterThan(20);
  });

  it("where there are more processes than test images", () => {
    const few = ["--limit", "2", "--suite", "knn,centroid,linear,dense", "--baselines", "no"];
    const [alone, more] = [copy("few-1"), copy("few-3")];
    expect(odis(line(alone, ...few)).code).toBe(0);
    expect(odis(line(more, ...few, "--processes", "3"))).toMatchObject({ code: 0 });
    expectSame(more, alone);
  });
});

describe("when something goes wrong in one process, all end and one says so", () => {
  it.each([0, 1])("rank %i was killed", async (lost) => {
    const run = copy(`killed-${lost}`);
    const ranks = await launchRanks(2, line(run, "--suite", "linear", "--epochs", "100000"));
    await joinedAndBusy(ranks);
    ranks[lost]!.child.kill("SIGKILL");
    const codes = await codesOf(ranks);
    expect(codes).toEqual([0, 1].map((rank) => (rank === lost ? null : 4)));
    const [sentence, ...more] = complaints(ranks.map((rank) => rank.said()).join(""));
    expect(more).toEqual([]);
    expect(sentence).toMatch(
      new RegExp(
        `^odis evaluate: rank ${1 - lost} of 2 failed in all-\\w+ \\d+: rank ${lost} does not answer \\(.+\\)\\. ` +
          "Nothing was saved yet\\. Run the same line again; it starts anew\\.$",
      ),
    );
    expect(existsSync(join(run, "evaluation.json"))).toBe(false);
  });

  it("beside an earlier evaluation, also where nobody is left to say so", async () => {
    const run = copy("stood");
    writeFileSync(join(run, "evaluation.json"), "{}");
    const words = line(run, "--suite", "linear", "--epochs", "100000", "--processes", "2");
    const parent = launch(words);
    await joinedAndBusy([parent]);
    for (const child of childrenOf(parent.child.pid!)) process.kill(child, "SIGKILL");
    expect((await parent.ended)[0]).toBe(4);
    expect(complaints(parent.said()).map((one) => one.replace("rank 1", "rank 0"))).toEqual([
      `odis evaluate: rank 0 of 2 was ended by SIGKILL (out of memory?); ${join(run, "evaluation.json")} of an earlier ` +
        "evaluation stands. Run the same line again; it starts anew.",
    ]);
  });

  it("all make the same mistake", async () => {
    const { code, stderr } = odis(line(copy("wrong"), "--min-area", "0.9", "--processes", "2"));
    expect(code).toBe(3);
    expect(complaints(stderr)).toHaveLength(1);
    expect(stderr).toContain("evaluation: the train data has no object to work with");
  });

  /** They end, since something is another in the second process. */
  async function expectOther(ranks: readonly Running[], what: string, more = ""): Promise<void> {
    expect(await codesOf(ranks)).toEqual([4, 4]);
    expect(complaints(ranks.map(({ said }) => said()).join(""))).toEqual([
      `odis evaluate: rank 1 of 2 was started for another evaluation than rank 0: other ${what}. ` +
        `Start all processes with the same line and data${more}.`,
    ]);
  }

  it("they were started with other data", async () => {
    const port = await freePort();
    const run = copy("other");
    const ranks = [bank, test].map((place, rank) =>
      launch(line(run, "--train", place), variables(rank, 2, port)),
    );
    await expectOther(ranks, "train data");
  });

  it("data sets that are only transferred to differ, though they are called alike", async () => {
    const port = await freePort();
    const run = copy("elsewhere");
    const places = [bank, test].map((place, rank) => {
      const own = join(folder, `place-${rank}`);
      mkdirSync(own);
      writeFileSync(join(own, "set.json"), JSON.stringify({ parts: [{ data: place }] }));
      return own;
    });
    const words = ["--suite", "transfer", "--transfer", `things=mix:set.json::${test}`];
    const ranks = places.map((place, rank) =>
      launch(line(run, ...words), variables(rank, 2, port), ["env", "-C", place]),
    );
    await expectOther(ranks, "train data of things");
  });

  it("they took different checkpoints of the run", async () => {
    const port = await freePort();
    const trainedOn = join(folder, "trained-on");
    const more = tinyRun(join(folder, "tiny"), trainedOn, "--steps", "3");
    expect(odis(more).code).toBe(0);
    const ranks = [copy("before"), trainedOn].map((run, rank) =>
      launch(line(run, "--suite", "knn"), variables(rank, 2, port)),
    );
    await expectOther(ranks, "network", ", while nobody trains the run");
  });

  it("one alone was given settings that cannot be", async () => {
    const port = await freePort();
    const run = copy("alone");
    const ranks = ["16", "15"].map((size, rank) =>
      launch(line(run, "--size", size), variables(rank, 2, port)),
    );
    expect(await codesOf(ranks)).toEqual([2, 2]);
    expect(complaints(ranks.map(({ said }) => said()).join(""))).toEqual([
      "odis evaluate: rank 1 of 2: evaluation: size 15 is not a multiple of the network's patch, 8. Wanted for example 16.",
    ]);
  });

  it("Ctrl-C ends all at once: there is nothing to keep", async () => {
    const run = copy("stopped");
    const parent = launch(line(run, "--suite", "linear", "--epochs", "100000", "--processes", "2"));
    await joinedAndBusy([parent]);
    parent.child.kill("SIGINT");
    expect((await parent.ended)[0]).toBe(130);
    expect(existsSync(join(run, "evaluation.json"))).toBe(false);
  });
});

/** Until processes have used some seconds of processor time, which they do when they train probes. */
async function joinedAndBusy(ranks: readonly Running[]): Promise<void> {
  const busy = (pid: number): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
    const theirs = childrenOf(pid).map(busy);
    return Number(fields[11]) + Number(fields[12]) + theirs.reduce((sum, one) => sum + one, 0);
  };
  for (const { child } of ranks)
    await vi.waitFor(() => expect(busy(child.pid!)).toBeGreaterThan(500), {
      timeout: 120_000,
      interval: 50,
    });
}
