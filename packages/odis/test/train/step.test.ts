import { Generator, liveTensors, noGrad, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { type Batch, imagesOf } from "../../src/batches/batch.js";
import { NonFiniteLossError } from "../../src/core/errors.js";
import { type Length, scheduleValuesAt, runLength } from "../../src/recipe/schedules.js";
import { type Recipe, resolveRecipe } from "../../src/recipe/schema.js";
import { recipeLayers, recipeNames, recipes } from "../../src/recipe/methods.js";
import { dropPaths, studentFeatures, studentOutputs } from "../../src/train/forward.js";
import { createState, stateTensors, type TrainState } from "../../src/train/state.js";
import { trainOn } from "../../src/train/loop.js";
import { upload } from "../../src/train/upload.js";
import { checkViewSizes } from "../../src/views/config.js";
import { recordingProxy } from "../recording-proxy.js";

const [B, G, L, N] = [3, 2, 1, 9];
const settings = {
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  views: { globals: { count: G, size: 24 }, locals: { count: L, size: 16 } },
  loss: { koleoWeight: 0.1 },
  optim: { batch: B, freezeLastLayerEpochs: 0, warmupEpochs: 0 },
};
const recipeOf = (more: object = {}): Recipe =>
  resolveRecipe([
    { source: "test", values: settings },
    { source: "more", values: { ...more } },
  ]);
const length: Length = { stepsPerEpoch: 2, totalSteps: 8 };

/** Some pictures, no two alike: every byte follows from its place. */
const bytes = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => (7 * i * i + 3 * i + Math.floor(i / 256)) % 251);
const everyThird = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => Number(i % 3 === 0));

const batch: Batch = {
  step: 0,
  size: B,
  objects: 1,
  keys: ["a.jpg", "b.jpg", "c.jpg"],
  global: {
    views: G,
    size: 24,
    pixels: bytes(G * B * 3 * 24 * 24),
    visible: everyThird(G * B * N),
    hidden: everyThird(G * B * N),
    present: new Uint8Array(G * B).fill(1),
  },
  local: {
    views: L,
    size: 16,
    pixels: bytes(L * B * 3 * 16 * 16),
    present: new Uint8Array(L * B).fill(1),
  },
  stats: { tries: [1, 1], absent: 0, skipped: [] },
};

const bits = (state: TrainState): string =>
  [...stateTensors(state)].map(([name, tensor]) => `${name} ${tensor.toNumbers().join()}`).join();

describe("a training step", () => {
  it("reports terms that sum to what was optimised, and changes student, teacher and centres", () => {
    using state = createState(recipeOf());
    const before = bits(state);
    const { terms, gradient } = trainOn(state, batch, scheduleValuesAt(state.recipe, length, 0));
    expect(terms.cls + terms.object + terms.patch + terms.koleo).toBeCloseTo(terms.total, 5);
    expect(gradient).toBeGreaterThan(0);
    expect(bits(state)).not.toBe(before);
  });

  it("gives the same bits twice", () => {
    const run = (): string => {
      using state = createState(recipeOf());
      for (const step of [0, 1, 2])
        trainOn(state, batch, scheduleValuesAt(state.recipe, length, step));
      return bits(state);
    };
    expect(run()).toBe(run());
  });

  it("leaves no trace of a loss that is not finite, and names the images", () => {
    using state = createState(recipeOf());
    noGrad(() => state.student.head.mlp[0]!.parameters()[0]!.fill_(Number.NaN));
    const before = bits(state);
    const step = (): unknown => trainOn(state, batch, scheduleValuesAt(state.recipe, length, 4));
    expect(step).toThrow(NonFiniteLossError);
    expect(step).toThrow(
      /^step 4: the loss or its gradient is not finite .*a\.jpg, b\.jpg, c\.jpg$/,
    );
    expect(bits(state)).toBe(before);
  });

  it("leaves no trace of a finite loss whose gradient overflows", () => {
    using state = createState(recipeOf({ loss: { koleoWeight: 0 } }));
    const [, , third, , last] = state.student.head.mlp;
    noGrad(() => {
      // Zero before the unit length: logits are 0 and the loss is ln K. The gradient, divided by
      // the smallest length allowed, meets huge activations on its way.
      third!.parameters()[1]!.fill_(1e30);
      for (const weight of last!.parameters()) weight.fill_(0);
    });
    const before = bits(state);
    const step = (): unknown => trainOn(state, batch, scheduleValuesAt(state.recipe, length, 0));
    expect(step).toThrow(
      /the loss or its gradient is not finite \(total \d+\.\d+.*gradient (Infinity|NaN)\)/,
    );
    expect(bits(state)).toBe(before);
  });
});

/** Every recipe at the size of `settings`, with the words that make it what it is. */
const methods = recipeNames.map((name) => ({
  name,
  recipe: resolveRecipe([
    ...recipeLayers(name),
    { source: "test", values: settings },
    {
      source: "koleo",
      values: { loss: { koleoWeight: recipes[name].family === "dinov2" ? 0.2 : 0 } },
    },
    {
      source: "one object",
      values: { views: { object: { count: 1 }, locals: { masked: false } } },
    },
  ]),
}));

describe("every recipe", () => {
  for (const { name, recipe } of methods)
    it(`${name}: lowers its loss on a batch that stays the same`, () => {
      // Beside the schedule: a rate that moves a tiny network, and targets that stay.
      using state = createState({ ...recipe, loss: { ...recipe.loss, centerMomentum: 1 } });
      const values = { ...scheduleValuesAt(recipe, length, 4), lr: 0.01, teacherMomentum: 1 };
      const losses = Array.from({ length: 12 }, () => trainOn(state, batch, values).terms.total);
      expect(losses.every(Number.isFinite)).toBe(true);
      expect(losses.at(-1)).toBeLessThan(losses[0]!);
    });
});

/** Student's gradients (AdamW's first mean) and the centres after one step. */
function gradientsAfter(recipe: Recipe): Map<string, Float32Array> {
  using state = createState(recipe);
  trainOn(state, batch, scheduleValuesAt(recipe, length, 2));
  const tensors = [...stateTensors(state)].filter(([name]) =>
    /^(optimizer.mean|centers)/.test(name),
  );
  return new Map(tensors.map(([name, tensor]) => [name, tensor.toFloat32()]));
}

/** Gradients, not weights: AdamW makes any gradient a step of the same small length. */
function expectSameGradients(changed: Recipe, plain: Recipe): void {
  const got = gradientsAfter(changed);
  for (const [name, wanted] of gradientsAfter(plain)) {
    if (name.endsWith("qkv.bias")) continue; // keys' bias has a true gradient of 0
    const most = Math.max(...wanted.map(Math.abs));
    for (const [i, value] of wanted.entries())
      expect(Math.abs(got.get(name)![i]! - value), `${name}[${i}]`).toBeLessThan(
        1e-4 * most + 1e-9,
      );
  }
}

describe("a step in parts", () => {
  for (const { name, recipe } of methods)
    for (const koleoWeight of [0, 0.2])
      it(`${name}, KoLeo ${koleoWeight}: three parts of one image have the gradient of the whole batch`, () => {
        const model = { ...recipe.model, dropPath: 0 }; // parts draw other branches than the whole
        const whole = { ...recipe, model, loss: { ...recipe.loss, koleoWeight } };
        const parts = { ...whole, optim: { ...whole.optim, accumulate: B } };
        expectSameGradients(parts, whole);
      });

  it("looks ahead at the features that it will have, dropped branches included", () => {
    using _scope = tensorScope();
    const model = { ...settings.model, depth: 3, dropPath: 0.5 };
    const state = createState(recipeOf({ model }));
    const micro = upload(state, batch).microBatches[0]!;
    const drops = new Generator(1);
    const ahead = noGrad(() => studentFeatures(state, micro, drops));
    const { features } = noGrad(() => studentOutputs(state, micro, drops, undefined));
    expect(ahead.object!.toNumbers()).toEqual(features.object!.toNumbers());
    const later = noGrad(() => studentFeatures(state, micro, drops)); // the stream has moved on
    expect(later.object!.toNumbers()).not.toEqual(features.object!.toNumbers());
  });

  it("drops other branches in each part", () => {
    const state = createState(recipeOf({ model: { ...settings.model, dropPath: 0.5 } }));
    const numbers = dropPaths(state, 3).map((stream) =>
      Buffer.from(stream!.getState()).toString("hex"),
    );
    expect(new Set(numbers).size).toBe(3);
    state[Symbol.dispose]();
  });
});

describe("a step that keeps only the blocks' inputs", () => {
  for (const { name, recipe } of methods)
    for (const memory of recipe.optim.clipScope === "each"
      ? ["recompute", "stream"]
      : ["recompute"])
      it(`${name}, ${memory}: has the same gradient, dropped paths included`, () => {
        const dropping = { ...recipe, model: { ...recipe.model, dropPath: 0.3, depth: 3 } };
        const again = { ...dropping, optim: { ...dropping.optim, memory } } as Recipe;
        expectSameGradients(again, dropping);
      });

  it("leaves no tensor behind", () => {
    const recipe = recipeOf({ optim: { ...settings.optim, memory: "recompute" } });
    using state = createState(recipe);
    trainOn(state, batch, scheduleValuesAt(recipe, length, 2));
    const live = liveTensors();
    trainOn(state, batch, scheduleValuesAt(recipe, length, 3));
    expect(liveTensors()).toBe(live);
  });
});

describe("absent objects", () => {
  const without = (images: readonly number[]): Batch => {
    const present = new Uint8Array(G * B).fill(1);
    const visible = batch.global.visible.slice();
    for (const image of images)
      for (let view = 0; view < G; view += 1) {
        present[view * B + image] = 0;
        visible.fill(0, (view * B + image) * N, (view * B + image + 1) * N);
      }
    const local = {
      ...batch.local,
      present: Uint8Array.from({ length: B }, (_, b) => Number(!images.includes(b))),
    };
    return { ...batch, global: { ...batch.global, present, visible }, local };
  };
  const recipe = recipeOf({ loss: { centering: "sinkhorn", koleoWeight: 0.1 } });

  it("claim no prototypes: Sinkhorn-Knopp gives the others the targets they have alone", () => {
    const entropies = (images: Batch): number => {
      using state = createState(recipe);
      return trainOn(state, images, scheduleValuesAt(recipe, length, 4)).marginalEntropy;
    };
    const two = imagesOf(batch, 1, 1);
    // One image left of three: its two views are balanced as if the others did not exist.
    expect(entropies(without([0, 2]))).toBeCloseTo(entropies(two), 4);
  });

  it("leave a step finite when no image of a batch has one", () => {
    using state = createState(recipe);
    const { terms } = trainOn(state, without([0, 1, 2]), scheduleValuesAt(recipe, length, 4));
    expect(terms.object).toBeCloseTo(0, 6);
    expect(terms.koleo).toBe(0);
    expect(terms.patch).toBeGreaterThan(0);
  });
});

describe("clipping", () => {
  it("limits backbone and heads each by its own norm under DINOv2's rule", () => {
    const moments = (clipScope: string): Map<string, Float32Array> => {
      using state = createState(recipeOf({ optim: { ...settings.optim, clip: 1e-3, clipScope } }));
      trainOn(state, batch, scheduleValuesAt(state.recipe, length, 0));
      return new Map(
        [...state.optimizer.state()].map(([name, { mean }]) => [name, mean.toFloat32()]),
      );
    };
    const norm = (of: Map<string, Float32Array>, prefix: string): number =>
      10 *
      Math.hypot(...[...of].filter(([name]) => name.startsWith(prefix)).flatMap(([, m]) => [...m]));
    const apart = moments("module");
    expect(norm(apart, "backbone.")).toBeCloseTo(1e-3, 5);
    expect(norm(apart, "head.")).toBeCloseTo(1e-3, 5);
    expect(norm(moments("global"), "")).toBeCloseTo(1e-3, 5);
  });
});

describe("a step in bfloat16", () => {
  it("has the loss of full precision within what bfloat16 can tell", () => {
    const loss = (precision: string): number => {
      using state = createState(recipeOf({ optim: { ...settings.optim, precision } }));
      return trainOn(state, batch, scheduleValuesAt(state.recipe, length, 2)).terms.total;
    };
    const full = loss("float32");
    const half = loss("bfloat16");
    expect(half).not.toBe(full);
    expect(Math.abs(half - full)).toBeLessThan(0.02 * Math.abs(full));
  });
});

describe("the recipe", () => {
  it("has no setting that nobody reads", () => {
    const read = (more: object): readonly string[] => {
      const { config, unread } = recordingProxy(recipeOf(more));
      using state = createState(config);
      trainOn(state, batch, scheduleValuesAt(config, runLength(config, 6), 0));
      checkViewSizes(config.views, config.model.patch);
      return unread();
    };
    const unread = [read({}), read({ loss: { centering: "sinkhorn" }, head: { share: "none" } })];
    const never = unread[0]!.filter((path) => unread[1]!.includes(path));
    // The views' own test covers the rest of views; the name is for people.
    expect(never.filter((path) => !path.startsWith("views."))).toEqual(["name"]);
  });
});
