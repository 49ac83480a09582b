import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Generator, liveTensors, noGrad } from "@odis/torch";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DataSource, type DataSpec, openSource } from "../../src/data/dataset.js";
import { evaluate, type Evaluation } from "../../src/evaluate/evaluate.js";
import { objectFeatures } from "../../src/features/object-features.js";
import { estimate, pairedDifference } from "../../src/evaluate/statistics.js";
import { loadTeacher } from "../../src/run/load.js";
import { modes } from "../../src/features/frame.js";
import { evaluateRun, readEvaluation, readRunOutcomes } from "../../src/evaluate/run.js";
import { formatTable } from "../../src/report/table.js";
import { savePosition } from "../../src/run/session.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { savedState } from "../../src/train/saved.js";
import { buildNetwork, createState } from "../../src/train/state.js";
import { emptyRun } from "./fake-run.js";
import { scratchFolder, tinyCoco } from "./tiny-coco.js";

const recipe = recipeSchema.parse({
  seed: 3,
  model: { dim: 32, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 8 },
  views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
});
const folder = scratchFolder();
const names = (letter: string, n: number): string[] =>
  Array.from({ length: n }, (_, i) => `${letter}${i}.png`);
let trainSpec: DataSpec;
let testSpec: DataSpec;
let train: DataSource;
let test: DataSource;

beforeAll(async () => {
  trainSpec = await tinyCoco(join(folder, "train"), names("a", 12), 1);
  testSpec = await tinyCoco(join(folder, "test"), names("b", 5), 2);
  [train, test] = await Promise.all([openSource(trainSpec), openSource(testSpec)]);
});
afterAll(() => rmSync(folder, { recursive: true }));

const value = (evaluation: Evaluation, name: string): number =>
  evaluation.measurements.find((m) => m.name === name)!.value;

describe("evaluate", () => {
  it("measures the baselines and a network at every level", async () => {
    const before = liveTensors();
    const trained = buildNetwork(recipe, "teacher").init(new Generator(9)).requiresGrad_(false);
    const { evaluation, outcomes } = await evaluate({
      recipe,
      trained,
      train,
      test,
      k: [3, 1],
      modes: ["mask", "none", "crop", "blackout"],
    });
    trained.free();
    const names = evaluation.measurements.map(({ name }) => name);
    expect(names).toHaveLength(3 * 2 * 4 * 2 * 2);
    expect([...outcomes.keys()]).toEqual(names);
    expect(evaluation.classes).toEqual(["rectangle", "triangle"]);
    expect([evaluation.train.objects, evaluation.test.objects]).toEqual([24, 10]);
    expect(evaluation.majority).toBe(0.5);
    // A red rectangle against a green triangle: pixels cannot fail.
    expect(value(evaluation, "pixels/object/mask/knn3/top1")).toBe(1);
    expect(value(evaluation, "pixels/object/crop/knn1/top1")).toBe(1);
    // Objects of one image share the feature, so one of the two is wrong.
    expect(value(evaluation, "pixels/object/none/knn1/top1")).toBe(0.5);
    expect(value(evaluation, "trained/object/none/knn1/top1")).toBe(0.5);
    // The rectangle is the largest object of every image.
    expect(value(evaluation, "trained/image/none/knn1/top1")).toBe(1);
    expect(value(evaluation, "trained/image/blackout/knn1/top1")).toBe(1);
    expect(evaluation.examples).toHaveLength(8);
    expect(evaluation.examples[0]!.neighbours).toHaveLength(6);
    expect(liveTensors()).toBe(before);
  });

  it("finds what features tell of objects beside their class", async () => {
    const { evaluation } = await evaluate({ recipe, train, test, suites: ["attributes"] });
    const of = (name: string): number | undefined =>
      evaluation.measurements.find((m) => m.name === name)?.value;
    // A cut-out picture has the light of its object, and a network that sees the patches their place.
    expect(of("pixels/object/mask/attributes/light")).toBeGreaterThan(0.6);
    expect(of("untrained/object/mask/attributes/place")).toBeGreaterThan(0.5);
    // Without a mask, both objects of a picture have the same feature.
    expect(of("untrained/object/none/attributes/place")).toBeLessThan(0.2);
    // All objects are equally wide and high; what a pixel more or less makes nobody can tell.
    expect(of("pixels/object/mask/attributes/shape")).toBeLessThan(0.2);
    expect(formatTable(evaluation, false)).toMatch(
      /beside the class, with mask: R², per cent.*\n.*\nplace +/,
    );
  });

  it("says of every item what became of it", async () => {
    const { evaluation, outcomes } = await evaluate({ recipe, train, test, k: [1] });
    for (const { name, value, n } of evaluation.measurements) {
      const outcome = outcomes.get(name)!;
      if (outcome.kind !== "share") throw new Error(name);
      expect(outcome.hits.reduce((sum, hit) => sum + hit, 0) / n).toBe(value);
      expect(outcome.images).toHaveLength(n);
      expect(new Set(outcome.images)).toEqual(new Set(names("b", 5)));
    }
  });

  it("leaves the baselines out when asked to", async () => {
    const trained = buildNetwork(recipe, "teacher").init(new Generator(9)).requiresGrad_(false);
    const all = await evaluate({ recipe, trained, train, test, k: [1] });
    const alone = await evaluate({ recipe, trained, train, test, k: [1], baselines: false });
    trained.free();
    expect(alone.evaluation.measurements).toEqual(
      all.evaluation.measurements.filter(({ name }) => name.startsWith("trained/")),
    );
  });

  it("trains linear classifiers on the same passes, in the modes that see the framed image", async () => {
    const before = liveTensors();
    const trained = buildNetwork(recipe, "teacher").init(new Generator(9)).requiresGrad_(false);
    const common = { recipe, trained, train, test, k: [3], modes } as const;
    const alone = await evaluate(common);
    const both = await evaluate({ ...common, suites: ["knn", "linear"], probe: { epochs: 20 } });
    const only = await evaluate({ ...common, suites: ["linear"], probe: { epochs: 20 } });
    trained.free();
    const linear = both.evaluation.measurements.filter(({ name }) => name.includes("/linear/"));
    expect(linear.map(({ name }) => name)).toEqual(
      ["pixels", "untrained", "trained"].flatMap((who) =>
        ["mask", "none", "isolated"].flatMap((mode) =>
          ["top1", "top5"].map((top) => `${who}/object/${mode}/linear/${top}`),
        ),
      ),
    );
    expect(only.evaluation.measurements).toEqual(linear);
    expect(both.evaluation.probes.map(({ name }) => name)).toContain("trained/object/mask/linear");
    expect(value(both.evaluation, "pixels/object/mask/linear/top1")).toBe(1);
    const knn = both.evaluation.measurements.filter(({ name }) => name.includes("/knn3/"));
    for (const [at, { name, value }] of knn.entries())
      expect({ name, value: value.toFixed(6) }).toEqual({
        name: alone.evaluation.measurements[at]!.name,
        value: alone.evaluation.measurements[at]!.value.toFixed(6),
      });
    expect(liveTensors()).toBe(before);
  });

  it("takes for untrained the very network that training began with", async () => {
    const student = createState(recipe).student;
    const set = await objectFeatures(student, test, { mode: "mask", size: 32, frame: "whole" });
    const untrained = buildNetwork(recipe, "teacher").init(new Generator(recipe.seed));
    const same = await objectFeatures(untrained, test, { mode: "mask", size: 32, frame: "whole" });
    expect(same.features).toEqual(set.features);
  });

  it("says what k could not be", async () => {
    const { evaluation } = await evaluate({ recipe, train, test, k: [1000] });
    expect(evaluation.settings.k).toEqual([1000]);
    expect(evaluation.measurements.map(({ name }) => name)).toContain(
      "untrained/object/mask/knn1000/top1",
    );
    expect(formatTable(evaluation, false)).toContain("k = 24, the whole bank");
  });

  it("gives the same numbers again", async () => {
    const [one, two] = [
      await evaluate({ recipe, train, test, k: [5] }),
      await evaluate({ recipe, train, test, k: [5] }),
    ];
    expect(one).toEqual(two);
  });

  it("refuses what cannot be compared, in sentences", async () => {
    const renamed = { ...test, classes: ["square", "circle"] };
    await expect(evaluate({ recipe, train, test: renamed })).rejects.toThrow(
      'evaluation: train and test data have no class in common: train has "rectangle", "triangle", ' +
        'test has "square", "circle". Classes are matched by their names; give both annotation files ' +
        "the same ones.",
    );
    await expect(evaluate({ recipe, train, test, minArea: 0.9 })).rejects.toThrow(
      "the train data has no object to work with: 12 images read, 0 unreadable, 0 that are in the " +
        "train data, too, 0 objects without a class, 24 below the least area, 0 too small to cover a " +
        "pixel or outside the frame. Wanted",
    );
    await expect(evaluate({ recipe, train, test, size: 36 })).rejects.toThrow(
      "size 36 is not a multiple of the network's patch, 8. Wanted for example 40.",
    );
    await expect(evaluate({ recipe, train, test, modes: [] })).rejects.toThrow(
      "evaluation: modes: got [], wanted at least one mode",
    );
    await expect(
      evaluate({ recipe, train, test, suites: ["linear"], modes: ["crop"] }),
    ).rejects.toThrow(
      "suite linear trains in the modes mask, none, isolated; got only crop. Add one of them, or leave the suite out.",
    );
    await expect(evaluate({ recipe, train, test, baselines: false })).rejects.toThrow(
      "neither baselines nor a trained network; wanted at least one of them",
    );
  });
});

describe("formatTable", () => {
  it("fits 80 columns and marks nothing by colour when asked so", async () => {
    const trained = buildNetwork(recipe, "teacher").init(new Generator(9)).requiresGrad_(false);
    const { evaluation } = await evaluate({
      recipe,
      trained,
      train,
      test,
      modes,
      suites: ["knn", "linear", "dense"],
      probe: { epochs: 2 },
    });
    const lines = formatTable(evaluation, false).split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.join("")).not.toContain("\u001b");
    expect(lines[1]).toMatch(/^ +raw pixels +untrained network +trained teacher$/);
    expect(lines[2]).toMatch(/^with mask +100\.0 \[100\.0, 100\.0\] +\d+\.\d \[/);
    expect(
      lines.filter((line) => /^image, .* \d+\.\d \[\d+\.\d, \d+\.\d\]$/.test(line)),
    ).toHaveLength(modes.length);
    expect(lines).toContain("linear top-1, per cent [95 % interval over images]");
    expect(lines.at(-3)).toMatch(/^linear {12}– +\d+\.\d \[.*\] +\d+\.\d \[.*\]$/);
  });
});

describe("masks made worse on purpose", () => {
  it("are said with the result, and change what networks see, not what is right", async () => {
    const masks = { kind: "box", iou: 0.5, missing: 0.5 } as const;
    const worse = (await evaluate({ recipe, train, test, k: [1], masks })).evaluation;
    const truth = (await evaluate({ recipe, train, test, k: [1] })).evaluation;
    expect(formatTable(worse, false).split("\n").at(-1)).toBe(
      "masks: boxes at IoU 0.5, 50.0 per cent missing",
    );
    expect(formatTable(truth, false)).not.toContain("masks:");
    expect([worse.test, worse.majority]).toEqual([truth.test, truth.majority]);
    const name = "pixels/object/mask/knn1/top1";
    expect(value(worse, name)).toBeLessThan(value(truth, name));
    await expect(evaluate({ recipe, train, test, masks: { iou: 0.5 } })).rejects.toThrow(
      'evaluation: masks.iou: got 0.5, wanted 1 unless views.masks.kind is "box": only boxes can be moved',
    );
  });
});

/** A run whose teacher differs from its student. */
function savedRun(name: string): string {
  const run = emptyRun(join(folder, name), recipe, trainSpec);
  const state = createState(recipe);
  noGrad(() => state.teacher.backbone.posEmbed.mul_(2)); // not what the student is
  const config: unknown = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
  savePosition(join(run, "checkpoints"), config, savedState(state), { step: 7, seconds: 1.5 }, 2);
  return run;
}

describe("a run", () => {
  it("gives back its teacher, not its student", () => {
    const run = savedRun("saved");
    const { network, step, recipe: found, checkpoint } = loadTeacher(run);
    const state = createState(recipe);
    expect([step, found]).toEqual([7, recipe]);
    expect(network.backbone.posEmbed.toFloat32()).toEqual(
      state.student.backbone.posEmbed.toFloat32().map((weight) => 2 * weight),
    );
    expect(loadTeacher(checkpoint).step).toBe(7);
  });

  it("is evaluated into evaluation.json, on images held out when there is no test data", async () => {
    const run = savedRun("evaluated");
    const seen: string[] = [];
    const written = await evaluateRun(run, {
      data: { train: trainSpec },
      k: [3],
      signal: new AbortController().signal,
      onProgress: (what) => seen.push(what),
    });
    expect(new Set(seen)).toEqual(new Set(["train", "test"]));
    expect(readEvaluation(run)).toEqual(JSON.parse(JSON.stringify(written)));
    expect([written.train.images, written.test.images, written.step]).toEqual([10, 2, 7]);
  });

  it("keeps what became of every item beside it, and knows a foreign file", async () => {
    const run = savedRun("outcomes");
    const data = { train: trainSpec, test: testSpec };
    const { measurements } = await evaluateRun(run, {
      data,
      k: [3],
      suites: ["knn", "attributes"],
    });
    const outcomes = readRunOutcomes(run)!;
    expect(new Set([...outcomes.values()].map(({ kind }) => kind))).toEqual(
      new Set(["share", "fit"]),
    );
    expect(outcomes.size).toBe(measurements.length);
    for (const { name, ...found } of measurements)
      expect(estimate(outcomes.get(name)!, 0)).toEqual(found);
    expect(pairedDifference(...twice(outcomes.get("trained/object/mask/knn3/top1")!))).toEqual({
      value: 0,
      low: 0,
      high: 0,
      images: 5,
    });
    const file = join(run, "outcomes.json");
    writeFileSync(file, readFileSync(file, "utf8").replace("b0.png", "c0.png"));
    expect(() => readRunOutcomes(run)).toThrow(
      "outcomes.json: is not the file that was written with evaluation.json; evaluate again",
    );
    rmSync(file);
    expect(() => readRunOutcomes(run)).toThrow("does not exist, but evaluation.json needs it");
  });

  it("says why it cannot be loaded", () => {
    const run = emptyRun(join(folder, "begun"), recipe, trainSpec);
    expect(() => loadTeacher(run)).toThrow(
      "no checkpoint was written yet, checkpoints/ is empty. Go on with the run until it saves one",
    );
    expect(() => loadTeacher(join(folder, "nowhere"))).toThrow(
      "does not exist; wanted a run folder",
    );
    expect(() => loadTeacher(join(folder, "train"))).toThrow(
      "train: is no run folder (it has no config.json) and no checkpoint (it has no state.json). Give",
    );
  });
});

const twice = <T>(value: T): [T, T] => [value, value];
