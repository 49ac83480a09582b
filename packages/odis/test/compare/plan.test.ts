import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { changePlan, checkPlan, type PlanInput } from "../../src/compare/plan.js";
import { loadPlan, plans } from "../../src/compare/plans.js";
import { commandLine, type PlannedRun, planRuns } from "../../src/compare/runs.js";
import { ConfigError, RunError } from "../../src/core/errors.js";
import { resolveRecipe } from "../../src/recipe/schema.js";
import { recipeLayers } from "../../src/recipe/methods.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const data = { train: "coco:a", test: "coco:b" };

function runsOf(values: PlanInput, out = join(scratch(), "none")): readonly PlannedRun[] {
  return planRuns(checkPlan({ source: "my.json", values }), out);
}

/** What a user reads. */
function complaint(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError || error instanceof RunError) return error.message;
    throw error;
  }
  return "";
}

const two: PlanInput = {
  name: "two",
  data,
  common: { model: "vit-mini", steps: 10 },
  rows: [
    { name: "a", recipe: "odis" },
    { name: "b", recipe: "ibot" },
  ],
};

describe("a plan", () => {
  it.each<[object, string | RegExp]>([
    [
      { rows: [{ name: "a", recipie: "odis" }] },
      'my.json: rows.0.recipie: unknown setting (got "odis"). Did you mean rows.0.recipe?',
    ],
    [
      { rows: [{ name: "a", recipe: "oids" }] },
      /^my\.json: rows\.0\.recipe: got "oids", wanted one of .*"odis".*\. Did you mean "odis"\?$/,
    ],
    [{ seed: [1] }, "my.json: seed: unknown setting (got [1]). Did you mean seeds?"],
    [{ seeds: [1, 1] }, "my.json: seeds: got [1,1], wanted each seed once"],
    [{ rows: [] }, "my.json: rows: got [], wanted at least one row"],
    [
      { rows: [{ name: "a/b" }] },
      'my.json: rows.0.name: got "a/b", wanted letters, digits, points and dashes only',
    ],
    [
      { evaluate: { mode: ["masks"] } },
      'my.json: evaluate.mode.0: got "masks", wanted one of "mask", "none", "crop", "blackout", "crop-mask", "isolated". Did you mean "mask"?',
    ],
    [
      { rows: [{ name: "a" }, { name: "a" }] },
      "my.json: rows: the name a is given twice; wanted another for each row",
    ],
    [
      { reference: "odsi", rows: [{ name: "odis" }] },
      'my.json: reference: there is no row "odsi"; wanted one of odis. Did you mean odis?',
    ],
    [
      { lines: [{ name: "X", row: "x", inference: "none" }], rows: [{ name: "odis" }] },
      'my.json: lines.0.row: there is no row "x"; wanted one of odis',
    ],
  ])("%j is refused in a sentence", (values, sentence) => {
    const said = complaint(() => checkPlan({ source: "my.json", values: { ...two, ...values } }));
    if (typeof sentence === "string") expect(said).toBe(sentence);
    else expect(said).toMatch(sentence);
  });

  it("is found by name or in a file; otherwise the names are told", () => {
    expect(loadPlan("main").rows.map(({ name }) => name)).toContain("odis");
    const file = join(scratch(), "my.json");
    writeFileSync(file, JSON.stringify(two));
    expect(loadPlan(file).name).toBe("two");
    expect(complaint(() => loadPlan("mian"))).toMatch(
      /^plan mian: there is no such plan and no such file; wanted one of main, .*, or a JSON file\. Did you mean main\?$/,
    );
  });

  it("keeps what its rows differ in when the command line changes all of them", () => {
    const plan = checkPlan({
      source: "x",
      values: {
        ...two,
        rows: [{ name: "a", recipe: "odis", set: { "optim.lr": 0.1 }, seeds: [7] }, { name: "b" }],
        reference: "b",
        lines: [{ name: "B", row: "b", inference: "none" }],
      },
    });
    const changed = changePlan(plan, {
      steps: 20,
      set: { "optim.lr": 0.2, "optim.clip": 1 },
      seeds: 2,
      rows: ["a"],
      limit: 5,
    });
    expect(changed.common).toMatchObject({ model: "vit-mini", steps: 20 });
    expect(changed.rows).toEqual([
      expect.objectContaining({ name: "a", set: { "optim.lr": 0.1 } }),
    ]);
    expect(changed.evaluate.limit).toBe(5);
    // What needs the row that is left out is left out with it.
    expect([changed.reference, changed.lines]).toEqual([undefined, []]);
    const runs = planRuns(changed, join(scratch(), "none"));
    expect(runs.map(({ seed }) => seed)).toEqual([0, 1]);
    expect(runs[0]!.recipe.optim).toMatchObject({ lr: 0.1, clip: 1, steps: 20 });
    expect(complaint(() => changePlan(plan, { rows: ["a", "c"] }))).toBe(
      '--rows: there is no row "c"; wanted one of a, b. Did you mean a?',
    );
  });
});

describe("the runs of a plan", () => {
  it("take the first seed of all rows before the second of any", () => {
    const names = runsOf({ ...two, seeds: [4, 2] }).map(({ name }) => name);
    expect(names).toEqual(["a-s4", "b-s4", "a-s2", "b-s2"]);
  });

  it("are the commands that are shown", () => {
    const [run] = planRuns(
      checkPlan({
        source: "x",
        values: {
          ...two,
          common: { ...two.common, batch: 8, set: { "optim.lr": 0.5 } },
          rows: [
            {
              name: "a",
              recipe: "odis",
              set: { "views.hidden.ratio": [0, 0.5], "views.hidden.variance": [0, 0.1] },
            },
          ],
          evaluate: { minArea: 0.01, suite: ["knn", "linear"] },
          seeds: [3],
        },
      }),
      "out",
      { threads: 2 },
    );
    expect(commandLine(run!.pretrain)).toBe(
      "odis pretrain --data coco:a --out out/runs/a-s3 --recipe odis --model vit-mini --batch 8 " +
        "--steps 10 --seed 3 --threads 2 --set optim.lr=0.5 --set 'views.hidden.ratio=[0,0.5]' " +
        "--set 'views.hidden.variance=[0,0.1]'",
    );
    expect(commandLine(run!.evaluate)).toBe(
      "odis evaluate out/runs/a-s3 --train coco:a --test coco:b --suite knn,linear " +
        "--mode mask,none,crop,blackout,crop-mask,isolated --min-area 0.01 --baselines yes --threads 2",
    );
    expect(run!.recipe.views.hidden.ratio).toEqual([0, 0.5]);
    expect(run!.recipe.seed).toBe(3);
  });

  it("measure untrained features once: with the reference", () => {
    const baselines = runsOf({ ...two, reference: "b", seeds: [0] }).map(
      ({ evaluate }) => evaluate[evaluate.indexOf("--baselines") + 1],
    );
    expect(baselines).toEqual(["no", "yes"]);
  });

  it.each<[Partial<PlanInput>, string]>([
    [
      { data: { train: "coco:a" } },
      "plan two: it names no test data. Give it with --test KIND:PLACE.",
    ],
    [{ data: {} }, "plan two: it names no training data. Give it with --train KIND:PLACE."],
    [
      { rows: [{ name: "a" }] },
      "plan two: row a has no recipe. Give the row one, or all of them with common.recipe.",
    ],
    [
      { rows: [{ name: "a", recipe: "odis", set: { "optim.lrr": 1 } }] },
      "plan two: row a: set: optim.lrr: unknown setting (got 1). Did you mean optim.lr?",
    ],
    [
      {
        rows: [
          { name: "a", recipe: "odis" },
          { name: "b", recipe: "odis", set: { "optim.batch": 32, "views.globals.size": 64 } },
        ],
      },
      'plan two: row b: optim.batch is 32, and 64 in row a; wanted the same steps, batch, views and network in every row. Make them equal, or say in the row why they may differ: "unequal": "…".\n' +
        'plan two: row b: views.globals.size is 64, and 32 in row a; wanted the same steps, batch, views and network in every row. Make them equal, or say in the row why they may differ: "unequal": "…".',
    ],
  ])("are refused together: %j", (values, sentence) => {
    expect(complaint(() => runsOf({ ...two, ...values }))).toBe(sentence);
  });

  it("may differ in compute when the row says why", () => {
    const unequal = "twice the steps";
    const rows = [
      { name: "a", recipe: "odis" as const },
      { name: "b", recipe: "odis" as const, set: { "optim.steps": 20 }, unequal },
    ];
    const steps = runsOf({ ...two, rows, seeds: [0] }).map(({ recipe }) => recipe.optim.steps);
    expect(steps).toEqual([10, 20]);
  });

  it("find a folder of another comparison before anything runs", () => {
    const out = join(scratch(), "out");
    const [run] = runsOf(two, out);
    mkdirSync(run!.folder, { recursive: true });
    const spec = { kind: "coco", images: "a/images", annotations: "a/instances.json" };
    const put = (recipe: unknown): void =>
      writeFileSync(join(run!.folder, "config.json"), JSON.stringify({ recipe, data: spec }));
    put(run!.recipe);
    expect(runsOf(two, out)).toHaveLength(6); // the very same: goes on
    put({ ...run!.recipe, optim: { ...run!.recipe.optim, steps: 11 } });
    expect(complaint(() => runsOf(two, out))).toBe(
      `run a-s0: ${run!.folder} holds a run with another config: recipe.optim.steps is 11 there and 10 here. ` +
        "Choose another --out, or give the same settings to go on with that comparison.",
    );
  });
});

it("a row may train on a file of masks; its evaluation has the data's own", () => {
  const [own, others] = runsOf({
    ...two,
    rows: [
      { name: "a", recipe: "odis" },
      { name: "b", recipe: "odis", masks: "found/masks.json" },
    ],
    seeds: [0],
  });
  expect(own!.data).not.toHaveProperty("masks");
  expect(others!.data).toEqual({ ...own!.data, masks: "found/masks.json" });
  expect(commandLine(others!.pretrain)).toContain(
    "odis pretrain --data coco:a --masks found/masks.json --out ",
  );
  expect(commandLine(others!.evaluate)).not.toContain("masks.json");
});

describe("the plans that come with odis", () => {
  it.each(plans.map(({ name }) => name))("%s can be run, at equal compute", (name) => {
    const runs = planRuns(changePlan(loadPlan(name), data), join(scratch(), "none"));
    expect(runs.length).toBeGreaterThanOrEqual(9);
    const settings = runs.filter(({ seed }) => seed === 0).map(({ recipe }) => recipe);
    // No two rows are the same run by another name, and none is a published recipe misnamed.
    const distinct = new Set(settings.map((recipe) => JSON.stringify(recipe)));
    expect(distinct.size).toBe(settings.length);
  });

  it("compare recipes as they are, but for what a row says", () => {
    const runs = planRuns(changePlan(loadPlan("main"), data), join(scratch(), "none"));
    for (const { row, seed, recipe } of runs)
      expect(recipe).toEqual(
        resolveRecipe([
          ...recipeLayers(row as "odis", "vit-mini"),
          { source: "seed", values: { seed } },
        ]),
      );
  });
});
