import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Generator } from "@odis/torch";
import { array, assert, constantFrom, integer, property, record, subarray } from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { openSource } from "../../src/data/dataset.js";
import { evaluate } from "../../src/evaluate/evaluate.js";
import { optionSettings } from "../../src/evaluate/options.js";
import { readEvaluation } from "../../src/evaluate/run.js";
import {
  describeEvaluation,
  evaluationOptions,
  optionsFor,
  optionWords,
  settingsOf,
  suiteNames,
  suites,
} from "../../src/evaluate/settings.js";
import { modes } from "../../src/features/frame.js";
import { measuredTables } from "../../src/report/table.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { buildNetwork } from "../../src/train/state.js";
import { odis } from "../cli/odis.js";
import { emptyRun } from "./fake-run.js";
import { scratchFolder, tinyCoco } from "./tiny-coco.js";

const recipe = recipeSchema.parse({
  model: { dim: 32, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 8 },
  views: { globals: { size: 32 }, locals: { size: 16, count: 0 } },
});
const folder = scratchFolder();
afterAll(() => rmSync(folder, { recursive: true }));

describe("every suite", () => {
  it("is known to the command line, with its options", () => {
    const { stdout } = odis(["evaluate", "--help"]);
    const said = stdout.replace(/\s+/g, " ");
    for (const { name, summary, options } of suites) {
      expect(said).toContain(`${name} (${summary})`);
      for (const option of Object.keys(options))
        expect(said).toContain(optionWords({ [option]: 1 })[0]);
    }
  });

  it("measures what it says it shows, and shows it in words of its own", async () => {
    const names = (letter: string, n: number) =>
      Array.from({ length: n }, (_, i) => `${letter}${i}.png`);
    const [train, test] = await Promise.all([
      tinyCoco(join(folder, "train"), names("a", 12), 1).then(openSource),
      tinyCoco(join(folder, "test"), names("b", 5), 2).then(openSource),
    ]);
    const trained = buildNetwork(recipe, "teacher").init(new Generator(9)).requiresGrad_(false);
    const { evaluation } = await evaluate({
      recipe,
      trained,
      train,
      test,
      suites: suiteNames,
      modes: ["none", "mask"],
      k: [3],
      probe: { epochs: 2 },
      transfer: { sets: [`other=coco:${join(folder, "train")}::coco:${join(folder, "test")}`] },
    });
    trained.free();
    const measured = new Set(evaluation.measurements.map(({ name }) => name));
    const described = describeEvaluation(evaluation.settings);
    expect(described.map(({ suite }) => suite)).toEqual(suiteNames);
    for (const { meaning, tables, groups = tables, details = [] } of described) {
      expect(meaning).toMatch(/^[A-Z].{30,}\.$/i);
      // An attribute in which all objects are alike cannot be measured.
      for (const { figures } of [...tables, ...groups])
        for (const { measure } of figures)
          if (!measure.endsWith("/shape")) expect(measured).toContain(`trained/${measure}`);
      for (const { rows } of details)
        for (const measure of rows.flatMap(({ cells }) => cells.flat()))
          expect(measured).toContain(`trained/${measure}`);
    }
    const keys = described
      .flatMap(({ tables, groups = tables }) => groups)
      .flatMap(({ figures }) => figures.map(({ key }) => key));
    expect(new Set(keys).size).toBe(keys.length);
    expect(measuredTables(evaluation).length).toBeGreaterThanOrEqual(suiteNames.length);
  });
});

describe("settings", () => {
  it("come back from the options that are shown for them", () => {
    const some = <const T extends string>(all: readonly T[]) =>
      subarray([...all], { minLength: 1 });
    const given = record(
      {
        suites: some(suiteNames),
        modes: some(modes).map((list) => [...new Set([...list, "mask" as const])]),
        feature: constantFrom("token" as const, "pooled" as const),
        baselines: constantFrom(true, false),
        size: integer({ min: 1, max: 9 }).map((n) => 8 * n),
        frame: constantFrom("whole" as const, "center" as const),
        limit: integer({ min: 1, max: 9999 }),
        minArea: constantFrom(0, 0.01, 1),
        masks: constantFrom({}, { kind: "box", iou: 0.5 } as const, { missing: 0.25 }),
        seed: integer({ min: 0, max: 99 }),
        probe: record({ epochs: integer({ min: 1, max: 200 }) }),
        dense: record(
          {
            bank: array(integer({ min: 1, max: 10_240_000 }), { minLength: 1, maxLength: 3 }),
            epochs: integer({ min: 0, max: 9 }),
            k: integer({ min: 1, max: 99 }),
            temperature: constantFrom(0.02, 0.07),
            samples: integer({ min: 1, max: 99_999 }),
            crop: constantFrom(32, 512),
            stride: integer({ min: 1, max: 512 }),
          },
          { requiredKeys: ["bank", "k", "temperature", "samples"] },
        ),
        transfer: record({ sets: array(constantFrom("a::b", "x=classes:c"), { minLength: 1 }) }),
      },
      { requiredKeys: ["limit"] },
    );
    assert(
      property(given, (values) => {
        const settings = settingsOf(values, recipe);
        const options = optionSettings(evaluationOptions, {
          limit: evaluationOptions["limit"]!.default,
          ...optionsFor(settings),
        });
        expect(settingsOf(options, recipe)).toEqual(settings);
      }),
    );
  });

  it("of nobody's making are the defaults, and the first k is asked for first", () => {
    assert(
      property(array(integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 }), (k) => {
        expect(settingsOf({ k }, recipe).k).toEqual([...new Set(k)]);
      }),
    );
    const { k } = settingsOf(optionSettings(evaluationOptions, { k: 7 }), recipe);
    expect(k).toEqual([7, 20, 5, 10, 100, 200]);
    expect(optionWords(optionsFor(settingsOf({ k, limit: 5000 }, recipe)))).toEqual([
      "--feature",
      "token",
      "--k",
      "7",
      "--size",
      "32",
    ]);
  });

  it("are refused by name when they are none", () => {
    expect(() => settingsOf({ ks: [1] } as object, recipe)).toThrow(
      "evaluation: ks: unknown setting (got [1]). Did you mean k?",
    );
    const transfer = (own: object) => settingsOf({ transfer: own }, recipe).transfer;
    expect(() => transfer({ set: ["a::b"] })).toThrow(
      'evaluation: transfer.set: unknown setting (got ["a::b"]). Did you mean transfer.sets?',
    );
    // What the first release with this suite wrote down is no setting of anybody's.
    expect(transfer({ sets: ["a::b"], k: 20 })).toEqual({ sets: ["a::b"] });
    expect(() => transfer({ sets: ["a::b"], k: 7 })).toThrow(
      "evaluation: transfer.k: unknown setting (got 7). Did you mean dense.k or fewShot.k or k?",
    );
  });

  it("of an earlier release have today's defaults where it knew none", () => {
    const run = emptyRun(join(folder, "old"), recipe, { kind: "module", path: "x.js" });
    const [k, modesThen] = [
      [20, 5, 10, 100, 200],
      ["mask", "none"],
    ];
    const settings = {
      suites: ["knn", "linear"],
      modes: modesThen,
      feature: "token",
      baselines: true,
      size: 32,
      frame: "whole",
      k,
      probe: { epochs: 100, batch: 256, learningRates: [0.1] },
      dense: { bank: 10240, k: 30, temperature: 0.02, samples: 20480 },
      minArea: 0,
      masks: { kind: "truth", iou: 1, missing: 0, false: 0, seed: 0 },
      seed: 0,
    };
    const file = join(run, "evaluation.json");
    const split = {
      images: 2,
      objects: 3,
      omitted: { skipped: [], lost: 0, unlabelled: 0, small: 0 },
    };
    const query = { key: "a", image: 4, object: 0, area: 9, label: 0 };
    const then = {
      version: 2,
      step: 7,
      data: { train: { kind: "coco", images: "i", annotations: "a.json" } },
      outcomes: "",
      classes: ["a"],
      settings,
      train: split,
      test: split,
      measurements: [{ name: "pixels/x", value: null, low: null, high: null, n: 0 }],
      majority: 0.5,
      probes: [],
      examples: [{ query, neighbours: [{ ...query, similarity: 1 }] }],
    };
    const read = (value: object) => {
      writeFileSync(file, JSON.stringify(value));
      return readEvaluation(run);
    };
    const today = read(then)!;
    // There was one bank then.
    const dense = { ...settings.dense, bank: [settings.dense.bank] };
    expect(today.settings).toMatchObject({ ...settings, dense });
    expect(today.measurements[0]!.value).toBeNaN();
    expect([today.moved, today.unknownClasses, today.test.repeated]).toEqual([[], [], []]);
    expect(today.examples[0]!.query.picture).toBe(4);
    expect(() => read({ ...then, settings: { ...settings, suites: ["nnk"] } })).toThrow(
      /evaluation\.json: not an evaluation of this release \(settings\.suites\.0: .*\); delete it and evaluate again\.$/,
    );
    expect(() => read({ ...then, measurements: 1e300 })).toThrow(
      /evaluation\.json: not an evaluation of this release \(measurements: .*\); delete it/,
    );
  });
});
