import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Rng } from "../../../src/core/rng.js";
import type { ShareOutcome } from "../../../src/evaluate/outcome.js";
import { estimate } from "../../../src/evaluate/statistics.js";
import { logisticShare, meanOfShares } from "../../../src/evaluate/suites/transfer.js";
import { knnShares } from "../../../src/evaluate/votes.js";
import { unshared } from "../unshared.js";
import { World } from "../../../src/train/world.js";
import { odis } from "../../cli/odis.js";
import { randomRun } from "../../formats/random-run.js";
import { emptyRun } from "../fake-run.js";
import { tinyCoco } from "../tiny-coco.js";
import { witness, witnessSet } from "./witness.js";

describe("classifiers of another data set", () => {
  const job = { classes: witness.classes, seed: 0, device: "cpu", world: World.alone };
  const [bank, queries] = [witnessSet("bank"), witnessSet("queries")];

  it.each([5, 20])("by %i nearest answer rightly where scikit-learn's do", (k) => {
    const shares = new Map(knnShares(unshared(bank), unshared(queries), { ...job, k: [k] }));
    const { hits } = shares.get(`knn${k}/top1`) as ShareOutcome;
    expect([...hits]).toEqual(witness.transfer.knn[k]);
  });

  it("by logistic regression answer rightly where scikit-learn's do, for one of the penalties", () => {
    const hits = [...logisticShare(bank, queries, job).hits];
    expect(Object.values(witness.transfer.logistic)).toContainEqual(hits);
    expect(Object.keys(witness.transfer.logistic)).toHaveLength(6);
  });
});

describe("the mean over data sets", () => {
  const share = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 5 })), {
      minLength: 1,
      maxLength: 30,
    })
    .map(
      (items): ShareOutcome => ({
        kind: "share",
        hits: Uint8Array.from(items, ([hit]) => hit),
        images: items.map(([, image]) => `image ${image}`),
      }),
    );

  it("counts each alike, however many items it has", () => {
    fc.assert(
      fc.property(fc.array(share, { minLength: 1, maxLength: 4 }), (shares) => {
        const sets = new Map(shares.map((one, at) => [`set ${at}`, one]));
        const { value, low, high } = estimate(meanOfShares(sets), 0);
        const each = shares.map(
          ({ hits }) => hits.reduce((sum, hit) => sum + hit, 0) / hits.length,
        );
        expect(value).toBeCloseTo(each.reduce((sum, one) => sum + one, 0) / each.length, 10);
        expect(low).toBeLessThanOrEqual(high);
      }),
    );
  });
});

describe("odis evaluate --suite transfer", () => {
  let folder: string;
  let run: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "odis-test-"));
    const names = (letter: string, n: number) =>
      Array.from({ length: n }, (_, i) => `${letter}${i}.png`);
    await tinyCoco(join(folder, "things", "train"), names("a", 12), 1);
    await tinyCoco(join(folder, "things", "test"), names("b", 6), 2);
    await colours(join(folder, "colours"));
    cifar(join(folder, "cifar"));
    const { path, recipe } = randomRun(folder, "odis", {
      views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
    });
    run = emptyRun(join(folder, "run"), recipe, { kind: "folder", place: folder });
    cpSync(path, join(run, "checkpoints", basename(path)), { recursive: true });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Folders of pictures, one a class, each of one colour with some noise. */
  async function colours(place: string): Promise<void> {
    for (const [label, colour] of Object.entries({ red: [200, 40, 40], blue: [40, 40, 200] })) {
      mkdirSync(join(place, label), { recursive: true });
      for (let at = 0; at < 20; at += 1) {
        const rng = new Rng("colours", label, at);
        const rgb = Buffer.from(
          Array.from({ length: 3 * 24 * 24 }, (_, i) => colour[i % 3]! + rng.int(-35, 35)),
        );
        await sharp(rgb, { raw: { width: 24, height: 24, channels: 3 } })
          .png()
          .toFile(join(place, label, `${at}.png`));
      }
    }
  }

  /** Files as CIFAR-10's binary version has them, of noise: nothing can be learned from it. */
  function cifar(place: string): void {
    mkdirSync(place);
    const records = (name: string, count: number): void => {
      const rng = new Rng("cifar", name);
      const bytes = Buffer.alloc(count * 3073);
      for (let at = 0; at < bytes.length; at += 1)
        bytes[at] = at % 3073 === 0 ? Math.floor(at / 3073) % 10 : rng.int(0, 255);
      writeFileSync(join(place, name), bytes);
    };
    for (let n = 1; n <= 5; n += 1) records(`data_batch_${n}.bin`, 10);
    records("test_batch.bin", 20);
    writeFileSync(
      join(place, "batches.meta.txt"),
      Array.from({ length: 10 }, (_, n) => `class${n}\n`).join(""),
    );
  }

  const evaluated = (...sets: string[]) =>
    odis([
      "evaluate",
      run,
      "--train",
      `coco:${folder}/things/train`,
      "--test",
      `coco:${folder}/things/test`,
      "--suite",
      "transfer",
      "--epochs",
      "20",
      ...sets.flatMap((set) => ["--transfer", set]),
    ]);

  it("tells each data set, folders, CIFAR's files and objects, and their mean in one table", () => {
    const { code, stdout, stderr } = evaluated(
      `classes:${folder}/colours`,
      `cifar:${folder}/cifar/train::cifar:${folder}/cifar/test`,
      `objects=coco:${folder}/things/train::coco:${folder}/things/test`,
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    for (const way of ["k-NN", "logistic regression", "linear probe"])
      expect(stdout).toContain(`transfer, ${way} top-1, per cent`);
    const { measurements } = JSON.parse(readFileSync(join(run, "evaluation.json"), "utf8"));
    const value = (name: string): number =>
      measurements.find((one: { name: string }) => one.name === name).value;
    for (const way of ["knn", "logistic", "linear"])
      for (const by of ["pixels", "untrained", "trained"]) {
        const [colour, noise, things, mean] = ["colours", "cifar", "objects", "mean"].map((set) =>
          value(`${by}/transfer/${set}/${way}/top1`),
        );
        expect(mean).toBeCloseTo((colour! + noise! + things!) / 3, 10);
        expect(noise).toBeLessThan(0.5);
        if (by === "pixels") expect(colour).toBe(1);
      }
    const { settings } = JSON.parse(readFileSync(join(run, "evaluation.json"), "utf8"));
    expect(settings.transfer.sets).toHaveLength(3);
  });

  it.each([
    [[], "suite transfer wants other data sets. Name some: --transfer [NAME=]TRAIN::TEST"],
    [["nothing:x"], '"nothing" is no kind of data'],
    [
      ["a::b::c"],
      'transfer "a::b::c": wanted TRAIN::TEST, or one place of which a fifth is held out',
    ],
    [
      ["classes:FOLDER/colours", "classes:FOLDER/colours"],
      'its name would be "colours", which is another\'s; give it another: --transfer NAME=classes:',
    ],
    [["classes:train"], 'its name would be ".", which is none; give it another: --transfer NAME='],
    [["..=classes:FOLDER/colours"], 'its name would be "..", which is none; give it another'],
    [["mean=classes:FOLDER/colours"], 'its name would be "mean", which stands for the mean of all'],
    [["folder:FOLDER/colours"], "names no classes; wanted labelled data"],
  ])("refuses %j before anything is read", (sets, said) => {
    const { code, stderr } = evaluated(...sets.map((set) => set.replace("FOLDER", folder)));
    expect([2, 3]).toContain(code);
    expect(stderr).toContain(said);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("says which classes and objects of its data sets nobody could answer", () => {
    const more = join(folder, "more");
    cpSync(join(folder, "colours"), more, { recursive: true });
    cpSync(join(more, "red"), join(more, "green"), { recursive: true });
    const { code, stdout } = evaluated(
      `more=classes:${folder}/colours#take=0..0.5::classes:${more}#take=0.5..1`,
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/left out of more, test: .*\d+ objects without a class/);
    expect(stdout).toContain("classes of more, test that more, train does not have: green;");
  });

  it("neither reads main data that nobody asks for, nor tells of it", () => {
    const colour = ["--transfer", `classes:${folder}/colours`, "--epochs", "5"];
    const unlabelled = `folder:${folder}/things/train`;
    const words = ["evaluate", run, "--train", unlabelled, "--baselines", "no", ...colour];
    const alone = odis([...words, "--suite", "transfer"]);
    expect(alone).toMatchObject({ code: 0 });
    expect(alone.stdout).toContain("transfer, k-NN top-1, per cent");
    expect(alone.stdout).not.toContain("bank:");
    const read = () => JSON.parse(readFileSync(join(run, "evaluation.json"), "utf8"));
    expect([read().train.images, read().test.images]).toEqual([0, 0]);
    const [{ name, test }] = read().others;
    expect([name, test.images]).toEqual(["colours", 8]);
    const [measured] = read().measurements;
    expect([measured.n, measured.images]).toEqual([8, 8]);
    expect(alone.stdout).toMatch(/Only\s+8\s+images\s+were\s+tested/);

    const both = odis([...words, "--suite", "knn,transfer"]);
    expect(both).toMatchObject({ code: 0 });
    expect(both.stdout).toContain("main data: bank: ");
    expect(read().train.images).toBeGreaterThan(0);
  });

  it("leaves out test pictures that are trained on, too", () => {
    const copy = join(folder, "copy");
    cpSync(join(folder, "colours"), copy, { recursive: true });
    const { code, stderr } = evaluated(`copy=classes:${folder}/colours::classes:${copy}`);
    expect(code).toBe(2);
    expect(stderr).toContain("transfer copy: no object with a class is in its test part");
  });
});
