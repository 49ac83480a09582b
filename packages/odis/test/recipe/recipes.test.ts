import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/core/errors.js";
import { schemaPaths } from "../../src/core/schema-problem.js";
import { defaultOrigin, defaultOrigins, explainRecipe, leaves } from "../../src/recipe/explain.js";
import { scheduleValuesAt } from "../../src/recipe/schedules.js";
import { type Recipe, recipeSchema, resolveRecipe } from "../../src/recipe/schema.js";
import { kindsRead } from "../../src/recipe/combinations.js";
import {
  modelNames,
  type ModelSize,
  recipeLayers,
  type RecipeName,
  recipeNames,
} from "../../src/recipe/methods.js";
import { stepCost } from "../../src/train/cost.js";

const set = (values: object) => ({ source: "--set", values: { ...values } });
const resolve = (name: (typeof recipeNames)[number], size: (typeof modelNames)[number]): Recipe =>
  resolveRecipe(recipeLayers(name, size));

/** What each method is, whatever the size of the network (paper, tables of ablations; iBOT, DINO, DINOv2). */
const methods: Readonly<Record<RecipeName, readonly string[]>> = {
  //             tokens     crops      attention  losses                     of what   balance
  dino: ["cls", "off", "masked", "cls", "token", "mean"],
  ibot: ["cls", "off", "masked", "cls patch", "token", "mean"],
  odis: ["obj", "redraw", "masked", "object patch", "token", "mean"],
  "odis-isolated": ["obj", "redraw", "isolated", "object patch", "token", "mean"],
  "odis-crop": ["obj", "redraw", "open", "object patch", "token", "mean"],
  "odis-mask": ["obj", "off", "masked", "object patch", "token", "mean"],
  "odis-cls": ["cls+obj", "redraw", "masked", "cls object patch", "token", "mean"],
  "odis-pool": ["cls", "redraw", "masked", "object patch", "pooled", "mean"],
  "odis-multi": ["obj", "redraw", "masked", "object patch", "token", "mean"],
  dinov2: ["cls", "off", "masked", "cls patch", "token", "sinkhorn"],
  "odis-dinov2": ["obj", "redraw", "masked", "object patch", "token", "sinkhorn"],
};

/** Millions of weights of the backbone, without a classifier (DeiT, DINO table 2; DINOv2, section 5). */
const published = { "vit-ti": 5.5, "vit-s": 21.7, "vit-b": 86, "vit-l": 304, "vit-g": 1136 };

describe("recipes", () => {
  for (const name of recipeNames)
    it(`${name} is the same method at every size`, () => {
      for (const size of modelNames) {
        const { model, views, loss } = resolve(name, size);
        const read = kindsRead({ loss }).join(" ");
        const [tokens, crop, attention, losses, from, balance] = methods[name];
        const what = `${name} ${size}`;
        expect([model.tokens, views.object.crop, model.objectAttention], what).toEqual([
          tokens,
          crop,
          attention,
        ]);
        expect([read, loss.objectFrom], what).toEqual([losses, from]);
        // Minutes on a CPU have no time for a moving mean.
        expect(loss.centering, what).toBe(size === "vit-mini" ? "sinkhorn" : balance);
        expect(views.object.count, what).toBe(name === "odis-multi" ? 4 : 1);
      }
    });

  for (const [size, millions] of Object.entries(published))
    it(`${size} has the published number of weights, whatever the method`, () => {
      for (const name of recipeNames) {
        const recipe = resolve(name, size as ModelSize);
        const least = {
          hidden: 1,
          bottleneck: 1,
          prototypes: 2,
          patchBottleneck: 1,
          share: "all" as const,
        };
        const backbone = { ...recipe, head: { ...recipe.head, ...least } };
        const { parameters } = stepCost(backbone);
        expect(Math.abs(parameters / 1e6 / millions - 1), name).toBeLessThan(0.01);
      }
    });

  it("say of every value of every size where it comes from, and nobody is named by a word of ours", () => {
    for (const name of recipeNames)
      for (const size of modelNames)
        for (const { path, origin } of explainRecipe(recipeLayers(name, size)).values) {
          const named = {
            paper: /arXiv \d{4}\.\d{5}/,
            published:
              /^(bytedance\/ibot|facebookresearch\/(dino|dinov2))\b.*(\.py|\.yaml|README|argument file)/,
            "follow-up": /^Cross-Time-Self-Distillation .*\.(py|sh)$/,
            ours: /^see EXPERIMENTS\.md/,
            given: /^nobody gave anything$/,
          }[origin.kind];
          expect(origin.where, `${name} ${size} ${path}`).toMatch(named);
        }
  });

  it("have the published numbers", () => {
    const facts = ({ optim, head, views, loss, model }: Recipe) => ({
      lr: optim.lr,
      minLr: optim.minLr,
      epochs: optim.epochs,
      clip: optim.clip,
      freeze: optim.freezeLastLayerEpochs,
      K: head.prototypes,
      norm: head.normLastLayer,
      scale: views.globals.scale,
      locals: [views.locals.count, ...views.locals.scale],
      warmup: loss.teacherTemperature.warmupEpochs,
      dropPath: model.dropPath,
    });
    // iBOT README and main_ibot.py, DINO main_dino.py; ViT-B: their published argument files
    const s = {
      lr: 5e-4,
      minLr: 1e-6,
      epochs: 800,
      clip: 3,
      freeze: 1,
      norm: false,
      warmup: 30,
      dropPath: 0.1,
    };
    const b = {
      lr: 7.5e-4,
      minLr: 2e-6,
      epochs: 400,
      clip: 0.3,
      freeze: 3,
      norm: true,
      warmup: 50,
      dropPath: 0.1,
    };
    expect(facts(resolve("ibot", "vit-s"))).toEqual({
      ...s,
      K: 8192,
      scale: [0.25, 1],
      locals: [10, 0.05, 0.25],
    });
    expect(facts(resolve("odis", "vit-s"))).toEqual({
      ...s,
      K: 8192,
      scale: [0.25, 1],
      locals: [10, 0.05, 0.25],
    });
    expect(facts(resolve("dino", "vit-s"))).toEqual({
      ...s,
      K: 65_536,
      scale: [0.4, 1],
      locals: [10, 0.05, 0.4],
    });
    expect(facts(resolve("dino", "vit-b"))).toEqual({
      ...b,
      K: 65_536,
      scale: [0.25, 1],
      locals: [10, 0.05, 0.25],
    });
    expect(facts(resolve("ibot", "vit-b"))).toEqual({
      ...b,
      K: 8192,
      scale: [0.32, 1],
      locals: [10, 0.05, 0.32],
    });
    expect(facts(resolve("ibot", "vit-l"))).toMatchObject({
      lr: 5e-4,
      epochs: 250,
      scale: [0.32, 1],
    });
    expect(resolve("dinov2", "vit-l").optim).toMatchObject({
      batch: 2048,
      lr: 4e-3,
      layerDecay: 0.9,
      patchLr: 0.2,
    });
    expect(resolve("odis-dinov2", "vit-g").model).toMatchObject({
      dim: 1536,
      depth: 40,
      heads: 24,
      patch: 14,
      ffn: "swiglu",
    });
  });

  it("scale DINOv2's learning rate with the root of the batch", () => {
    const recipe = resolve("dinov2", "vit-l");
    const { lr } = scheduleValuesAt(recipe, { stepsPerEpoch: 1250, totalSteps: 125_000 }, 12_500);
    expect(lr).toBeCloseTo(4e-3 * Math.sqrt(2), 12);
  });

  it("name the layer that a value was changed by", () => {
    const { values } = explainRecipe([
      ...recipeLayers("ibot", "vit-b"),
      set({ optim: { lr: 0.1 } }),
    ]);
    const of = (path: string) => values.find((value) => value.path === path);
    expect(of("optim.lr")).toMatchObject({ value: 0.1, origin: { where: "--set" } });
    expect(of("optim.clip")!.origin.where).toContain("ViT-B/16");
    expect(of("views.object.crop")!.origin.where).toContain("bytedance/ibot");
    expect(of("head.share")!.origin.kind).toBe("paper");
  });

  it("have an origin for each default, and none for settings that are gone", () => {
    const paths = [...leaves(recipeSchema.parse({}))].map(([path]) => path);
    expect(paths.filter((path) => defaultOrigin(path) === undefined)).toEqual([]);
    const known = [...schemaPaths(recipeSchema)].map((path) => path.join("."));
    const stale = Object.keys(defaultOrigins).filter(
      (prefix) => !known.some((path) => path === prefix || path.startsWith(`${prefix}.`)),
    );
    expect(stale).toEqual([]);
  });
});

describe("settings that exclude each other", () => {
  const cases: readonly (readonly [values: object, message: RegExp])[] = [
    [
      { model: { dim: 100 } },
      /^model\.dim: got 100; wanted a multiple of model\.heads \(6\), e\.g\. 102$/,
    ],
    [
      { loss: { objectWeight: 0, patchWeight: 0 } },
      /^loss: clsWeight, objectWeight and patchWeight are all 0/,
    ],
    [{ loss: { clsWeight: 1 } }, /^loss\.clsWeight: got 1, but model\.tokens "obj" has no \[CLS\]/],
    [
      { model: { tokens: "cls" } },
      /^loss\.objectWeight: got 1, but model\.tokens "cls" has no \[OBJ\]/,
    ],
    [
      { model: { objectAttention: "open" }, views: { object: { crop: "off" } } },
      /^model\.objectAttention: got "open" with views\.object\.crop "off"/,
    ],
    [{ head: { patchPrototypes: 100 } }, /^head\.patchPrototypes: got 100 with head\.share "all"/],
    [
      { head: { patchBottleneck: 64, share: "mlp" } },
      /^head\.patchBottleneck: got 64 with head\.share "mlp"/,
    ],
    [
      {
        views: { object: { count: 2 } },
        model: { tokens: "cls" },
        loss: { clsWeight: 1, objectWeight: 0 },
      },
      /^views\.object\.count: got 2, but model\.tokens "cls" has no \[OBJ\]/,
    ],
    [
      { views: { globals: { count: 1 }, locals: { count: 0 } } },
      /^views: got 1 global and no local view/,
    ],
    [
      { views: { hidden: { ratio: [0], variance: [0] } } },
      /^loss\.patchWeight: got 1, but views\.hidden\.ratio hides no patch/,
    ],
    [
      { optim: { batch: 10, accumulate: 4 } },
      /^optim\.accumulate: got 4; wanted a divisor of optim\.batch \(10\)$/,
    ],
    [
      { optim: { memory: "stream", clipScope: "global" } },
      /^optim\.memory: got "stream" with accumulate 1 and clipScope "global"/,
    ],
    [
      { loss: { clsWeight: 0, objectWeight: 0, koleoWeight: 0.1 } },
      /^loss\.koleoWeight: got 0\.1, but clsWeight and objectWeight are 0/,
    ],
  ];
  for (const [values, message] of cases)
    it(`refuses ${JSON.stringify(values)}`, () => {
      const resolving = (): Recipe => resolveRecipe([set(values)]);
      expect(resolving).toThrow(ConfigError);
      expect(resolving).toThrow(message);
    });
});
