import { describe, expect, it } from "vitest";
import type { RunEvaluation } from "../../src/evaluate/saved.js";
import { settingsOf } from "../../src/evaluate/settings.js";
import { recipeLayers } from "../../src/recipe/methods.js";
import { resolveRecipe } from "../../src/recipe/schema.js";
import type { RunContents } from "../../src/report/record.js";
import { shippedCurve } from "../../src/run/shipped.js";
import { formatVerdict } from "../../src/report/table.js";
import { verdict } from "../../src/report/verdict.js";
import { metricsRows } from "../evaluate/fake-run.js";

const recipe = resolveRecipe([
  ...recipeLayers("odis", "vit-mini"),
  { source: "test", values: { optim: { steps: 500 } } },
]);
const nothing = { skipped: [], shared: [], lost: 0, unlabelled: 0, small: 0 };
const split = { images: 200, objects: 600, repeated: [], omitted: nothing };

/** Shares of right answers; each difference is known to one point. */
function evaluated(
  { trained, untrained, pixels }: Record<"trained" | "untrained" | "pixels", number>,
  majority = 0.1,
): RunEvaluation {
  const about = (value: number) => ({ value, low: value - 0.01, high: value + 0.01 });
  return {
    version: 2,
    step: 500,
    data: { train: { kind: "coco" } },
    moved: [],
    outcomes: "",
    classes: ["a", "b", "c", "d"],
    settings: settingsOf({}, recipe),
    train: split,
    test: split,
    measurements: Object.entries({ trained, untrained, pixels }).map(([name, value]) => ({
      name: `${name}/object/mask/knn20/top1`,
      ...about(value),
      n: 600,
    })),
    majority,
    unknownClasses: [],
    others: [],
    differences: [
      { to: "pixels", ...about(trained - pixels), images: 200 },
      { to: "untrained", ...about(trained - untrained), images: 200 },
    ],
    probes: [],
    examples: [],
  };
}

const run = (
  evaluation: RunEvaluation | undefined,
  more: Partial<RunContents> = {},
): RunContents => ({
  folder: "runs/x",
  config: {},
  recipe,
  init: undefined,
  rows: metricsRows(500, recipe),
  skipped: [],
  evaluation,
  ...more,
});

describe("the verdict", () => {
  it("says what was trained, what it can do, what that is worth, and what more would bring", () => {
    const said = verdict(run(evaluated({ trained: 0.4, untrained: 0.2, pixels: 0.3 })), 12_000);
    expect(said).toEqual([
      "This is a Vision Transformer (96 wide, 4 blocks, 3 heads, patch 4) that taught itself from " +
        "12,000 images and the objects marked in them, without being told what anything is: 500 steps " +
        "of 64 images (3 min 25 s).",
      "In 40.0 % of cases it recognises an object that its mask points at, by the vote of the 20 most " +
        "similar known ones. For comparison: raw pixels, without any network, 30.0 %, the same network " +
        "untrained 20.0 %, always the most frequent class 10.0 %, guessing among 4 classes 25.0 %.",
      "Training has gained something: +20.0 points [+19.0, +21.0] over the same network untrained. It " +
        "is ahead of raw pixels: +10.0 points [+9.0, +11.0].",
      "It has seen each image about 2.7 times; published runs go over a million images 100 to 800 " +
        "times. So it is early: a longer run (a larger --steps, in a new folder) is likely to gain most, " +
        "more than 12,000 images the next.",
    ]);
    for (const line of formatVerdict(said, false).split("\n"))
      expect(line.length).toBeLessThanOrEqual(80);
  });

  it.each([
    [
      { trained: 0.34, untrained: 0.25, pixels: 0.7 },
      0.1,
      /^Training has gained .*\. Raw pixels are still ahead: −36\.0 points/,
    ],
    [
      { trained: 0.3, untrained: 0.3, pixels: 0.3 },
      0.1,
      /^What training has gained cannot be told from chance yet: 0\.0 points .*\. It is level with raw pixels/,
    ],
    [
      { trained: 0.2, untrained: 0.3, pixels: 0.1 },
      0.1,
      /^Training has made it worse than it began: −10\.0 points/,
    ],
    [
      { trained: 0.2, untrained: 0.1, pixels: 0.1 },
      0.5,
      /^That is no better than always naming the most frequent class: as it stands, nobody should use it\. Training has gained/,
    ],
    [
      { trained: 0.505, untrained: 0.1, pixels: 0.1 },
      0.5,
      /^That cannot be told from always naming the most frequent class\. /,
    ],
  ])("is honest: %j, most frequent %f", (shares, majority, sentence) => {
    expect(verdict(run(evaluated(shares, majority)), 12_000)[2]).toMatch(sentence);
  });

  it("is careful where little was tested, and plain where nothing stands beside it", () => {
    const all = evaluated({ trained: 0.4, untrained: 0.2, pixels: 0.3 });
    const few = { ...all, test: { ...split, images: 20 } };
    const elsewhere = all.measurements.map((one) => ({ ...one, images: 37 }));
    expect(verdict(run({ ...all, measurements: elsewhere }), 12_000)[2]).toMatch(
      /Only 37 images were tested: all this may change\.$/,
    );
    const many = few.measurements.map((one) => ({ ...one, images: 100 }));
    expect(verdict(run({ ...few, measurements: many }), 12_000)[2]).not.toContain("Only");
    expect(verdict(run(few), 12_000)[2]).toMatch(
      /Only 20 images were tested: all this may change\.$/,
    );
    const alone = {
      ...all,
      differences: [],
      measurements: all.measurements.filter(({ name }) => name.startsWith("trained/")),
    };
    const [, score, worth] = verdict(run(alone), 12_000);
    expect(score).not.toContain("raw pixels");
    expect(worth).toBe("It was measured alone: nothing stands beside it.");
  });

  it("of an evaluation of an earlier release has intervals as wide as unpaired images allow", () => {
    const old = { ...evaluated({ trained: 0.4, untrained: 0.2, pixels: 0.3 }), differences: [] };
    expect(verdict(run(old), 12_000)[2]).toBe(
      "Training has gained something: +20.0 points [+18.0, +22.0] over the same network untrained. It " +
        "is ahead of raw pixels: +10.0 points [+8.0, +12.0].",
    );
  });

  const outlook = (more: Partial<RunContents>, images?: number): string =>
    verdict(run(undefined, more), images).at(-1)!;

  it("counts steps in images where longer training has been looked at", () => {
    const { batch } = shippedCurve("vit-mini-scenes")!;
    const about = { value: 0.5, low: 0.4, high: 0.6 };
    const seen = { outcomes: "", network: "vit-mini-scenes", step: 1000, same: true, ...about };
    const after = (steps: number, images: number): string =>
      outlook({
        recipe: { ...recipe, optim: { ...recipe.optim, batch: images } },
        rows: metricsRows(steps, recipe),
        outlook: seen,
      });
    expect(after(200, batch)).toContain("This run has done 20.0 % of those steps.");
    expect(after(200, 2 * batch)).toContain("This run has done 40.0 % of those steps.");
    expect(after(500, 2 * batch)).toContain("This run has done as many, or more.");
  });

  it("looks ahead by how far the run came", () => {
    expect(outlook({ rows: metricsRows(200, recipe) }, 12_000)).toBe(
      "The run has done 200 of 500 steps. Its learning rate falls towards the end, where much is gained: let it go on.",
    );
    expect(outlook({}, undefined)).toBe("A longer run (--steps) is the first thing to try.");
    expect(outlook({}, 100)).toBe(
      "It has seen each image about 320 times, and its loss was still falling: a longer run is likely " +
        "to gain a little; more images than 100 or a larger network probably more.",
    );
    const flat = metricsRows(500, recipe).map((row) => ({ ...row, loss: 5 }));
    expect(outlook({ rows: flat }, 100)).toContain(
      "more steps of the same are unlikely to change much",
    );
    const uniform = Math.log(recipe.head.prototypes);
    const collapsed = metricsRows(500, recipe).map((row) => ({
      ...row,
      teacherEntropy: uniform,
      marginalEntropy: uniform,
    }));
    expect(outlook({ rows: collapsed }, 12_000)).toBe(
      "More of the same training would bring nothing: it has collapsed (targets are uniform, they say " +
        "nothing of the image). The log says which settings to change.",
    );
  });

  it("of weights from elsewhere says so", () => {
    const init = { file: "dino\u001b[31m.pth", parts: "all" } as const;
    expect(verdict(run(undefined, { init, rows: [] }), 9)).toEqual([
      "This is a Vision Transformer (96 wide, 4 blocks, 3 heads, patch 4), starting from the weights of " +
        "dino\\u001b[31m.pth; it was not trained here.",
      "What it can do has not been measured yet.",
      "Training it on your own images (odis pretrain --init) would fit it to them.",
    ]);
  });
});
