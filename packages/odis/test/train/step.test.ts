import { liveTensors, noGrad, tensor, tensorScope, tidy } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { type Batch, imagesOf } from "../../src/batches/batch.js";
import { NonFiniteLossError } from "../../src/core/errors.js";
import { Center } from "../../src/loss/centering.js";
import { type Length, scheduleValuesAt, runLength } from "../../src/recipe/schedules.js";
import { type Recipe, resolveRecipe } from "../../src/recipe/schema.js";
import { recipeLayers, recipeNames, recipes } from "../../src/recipe/methods.js";
import { drawDrops } from "../../src/train/drops.js";
import { studentFeatures, studentOutputs, summarySum } from "../../src/train/forward.js";
import { createState, stateTensors, type TrainState } from "../../src/train/state.js";
import { trainOn } from "../../src/train/loop.js";
import { upload } from "../../src/train/upload.js";
import { checkViewSizes } from "../../src/views/config.js";
import { expectClose } from "../close.js";
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
  stats: { wanted: 1, tries: [1, 1], absent: 0, skipped: [] },
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

describe("a step of isolated objects", () => {
  const visible = everyThird(G * B * N).map((byte, at) => byte | Number(at % N < 3));
  visible.fill(0, 4 * N, 5 * N); // an object that one view has lost
  const hidden = visible.map((byte, at) => byte & Number(at % 4 < 2));
  const lost = new Uint8Array(G * B).fill(1).fill(0, 4, 5);
  const objects: Batch = {
    ...batch,
    global: { ...batch.global, visible, hidden, present: lost },
    local: { ...batch.local, visible: new Uint8Array(L * B * 4).fill(1, 2, 9) },
  };
  const run = (where: "view" | "object", more: object) => {
    const recipe = recipeOf({
      model: { objectAttention: "isolated", dropPath: 0.5 },
      views: { hidden: { where } },
      ...more,
    });
    using state = createState(recipe);
    const packed = tidy(() =>
      upload(state, objects, scheduleValuesAt(recipe, length, 1)).microBatches.map(
        ({ global, local }) => [global, local].map((views) => views?.packing !== undefined),
      ),
    );
    const reports = [0, 1, 2].map((step) =>
      trainOn(state, objects, scheduleValuesAt(recipe, length, step)),
    );
    const weights = [...stateTensors(state)].map(([name, one]) => ({
      name,
      values: one.toNumbers(),
    }));
    return { packed, reports, weights };
  };

  it.each([
    {},
    { loss: { centering: "sinkhorn", koleoWeight: 0.1 } },
    { optim: { accumulate: 3 } },
  ])("is the same whether what is around them is computed or not (%j)", (more) => {
    const [all, alone] = (["view", "object"] as const).map((where) => run(where, more));
    expect(new Set(all!.packed.flat())).toEqual(new Set([false]));
    expect(alone!.packed.every(([global]) => global)).toBe(true);
    for (const [step, report] of all!.reports.entries()) {
      const same = alone!.reports[step]!;
      for (const name of ["total", "object", "patch", "koleo"] as const)
        expect(same.terms[name]).toBeCloseTo(report.terms[name], 5);
      expect(same.gradient / report.gradient).toBeCloseTo(1, 4);
      expect(same.teacherEntropy).toBeCloseTo(report.teacherEntropy, 5);
    }
    for (const [at, { name, values }] of all!.weights.entries())
      expectClose(alone!.weights[at]!.values, values, {
        what: name,
        // A bias of all keys leaves the softmax as it is: its gradient is rounding alone.
        skip: (index) => name.includes("qkv.bias") && Math.floor(index / 16) === 1,
      });
  });

  it("computes everything where something of it is read", () => {
    for (const more of [
      { model: { objectAttention: "masked" } },
      { model: { objectAttention: "isolated", tokens: "cls+obj" } },
      { model: { objectAttention: "isolated" }, loss: { patchCenter: "all" } },
    ]) {
      const { packed } = run("object", { ...more });
      expect(new Set(packed.flat())).toEqual(new Set([false]));
    }
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
        // One by one, and so by chance of their own: a subset is one of a piece.
        const model = { ...recipe.model, dropPath: 0.3, depth: 3, dropRule: "sample" as const };
        const whole = { ...recipe, model, loss: { ...recipe.loss, koleoWeight } };
        const parts = { ...whole, optim: { ...whole.optim, accumulate: B } };
        expectSameGradients(parts, whole);
      });

  it("looks ahead at the features that it will have, dropped branches included", () => {
    using _scope = tensorScope();
    const model = { ...settings.model, depth: 3, dropPath: 0.5 };
    const state = createState(recipeOf({ model }));
    const micro = upload(state, batch, scheduleValuesAt(state.recipe, length, 0)).microBatches[0]!;
    const ahead = noGrad(() => studentFeatures(state, micro));
    const { features } = noGrad(() => studentOutputs(state, micro, undefined));
    expect(ahead.object!.toNumbers()).toEqual(features.object!.toNumbers());
    // In the next step others are dropped.
    const next = upload(state, batch, scheduleValuesAt(state.recipe, length, 1)).microBatches[0]!;
    const later = noGrad(() => studentFeatures(state, next));
    expect(later.object!.toNumbers()).not.toEqual(features.object!.toNumbers());
  });

  it("drops what the whole batch drops: by the image's number in the step, view and block", () => {
    const recipe = recipeOf({ model: { ...settings.model, depth: 4, dropPath: 0.5 } });
    const drawn = (first: number, images: number, step = 3): readonly (readonly string[])[] =>
      tidy(() => {
        const passes = drawDrops(recipe, { step, first, images }, [G, L], "cpu")!;
        // [image] -> the scales of its views in all blocks
        return Array.from({ length: images }, (_, image) =>
          passes.flatMap((blocks, pass) =>
            blocks.flatMap((drops) =>
              drops
                ? [drops.attention, drops.feedForward].map(({ scales }) =>
                    scales
                      .toNumbers()
                      .filter((_, row) => row % images === image)
                      .join(),
                  )
                : [`pass ${pass}: none`],
            ),
          ),
        );
      });
    const whole = drawn(0, 6);
    expect(whole[0]![0]).toBe("pass 0: none"); // the first block keeps all
    expect(new Set(whole.map((image) => image.join())).size).toBe(6);
    expect([...drawn(0, 2), ...drawn(2, 4)]).toEqual(whole);
    expect(drawn(0, 6, 4)).not.toEqual(whole);
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

describe("the [OBJ] centre", () => {
  const logits = [1, 2, 3, 4, 5, 6, 7, 8]; // [1 view, 2 images x 2 objects, K = 2]
  const flags = [1, 0, 1, 1]; // the first image has one object

  it("counts rows as its settings say: by hand", () => {
    using _scope = tensorScope();
    const rows = tensor(logits, [1, 4, 2]);
    const there = tensor(flags, [1, 4], { dtype: "float64" });
    const sum = (of: Parameters<typeof summarySum>[1]): number[] =>
      summarySum(rows, of).toNumbers();
    expect(sum({})).toEqual([1 + 3 + 5 + 7, 2 + 4 + 6 + 8]);
    expect(sum({ flags: there })).toEqual([1 + 5 + 7, 2 + 6 + 8]);
    expect(sum({ tokens: 2 })).toEqual([1 + 5, 2 + 6, 3 + 7, 4 + 8]);
    expect(sum({ flags: there, tokens: 2 })).toEqual([1 + 5, 2 + 6, 7, 8]);
  });

  it("divides by the rows that counted, and stays where none did: by hand", () => {
    using _scope = tensorScope();
    const center = new Center([2, 2], 0.9, "cpu");
    noGrad(() => center.value.fill_(1));
    center.update(
      tensor([
        [6, 8],
        [0, 0],
      ]),
      tensor([[2], [0]], [2, 1], { dtype: "float64" }),
    );
    expectClose(center.value.toNumbers(), [0.9 + 0.1 * 3, 0.9 + 0.1 * 4, 1, 1]);
  });

  /** The batch with a second row of objects, all absent: padding, as images with one object have it. */
  const padded = (): Batch => {
    const twice = (bytes: Uint8Array, length: number): Uint8Array => {
      const out = new Uint8Array(2 * bytes.length);
      for (let row = 0; row < bytes.length / length; row += 1)
        out.set(bytes.subarray(row * length, (row + 1) * length), 2 * row * length);
      return out;
    };
    const { global, local } = batch;
    return {
      ...batch,
      objects: 2,
      global: { ...global, visible: twice(global.visible, N), present: twice(global.present, 1) },
      local: { ...local, present: twice(local.present, 1) },
    };
  };

  const after = (images: Batch, loss: object) => {
    const objects = { views: { object: { count: images.objects } } };
    using state = createState(recipeOf({ ...objects, loss: { koleoWeight: 0, ...loss } }));
    const { marginalEntropy } = trainOn(state, images, scheduleValuesAt(state.recipe, length, 0));
    const { value } = state.centers.object!;
    return { marginalEntropy, center: value.toNumbers(), shape: value.shape };
  };

  it("is not moved by padding rows when only present ones count; the marginal entropy neither", () => {
    const alone = after(batch, { objectCenterRows: "present" });
    const beside = after(padded(), { objectCenterRows: "present" });
    // Patches see the second token, a little of which comes back: not the same bits.
    expectClose(beside.center, alone.center, { rtol: 1e-3 });
    expect(beside.marginalEntropy).toBeCloseTo(alone.marginalEntropy, 3);
    const counted = after(padded(), { objectCenterRows: "all" });
    const distance = Math.hypot(...counted.center.map((x, k) => x - alone.center[k]!));
    expect(distance).toBeGreaterThan(0.02 * Math.hypot(...alone.center));
  });

  it("is one for each of an image's [OBJ] tokens, if asked for, and theirs alone", () => {
    const each = after(padded(), { objectCenters: "each", objectCenterRows: "present" });
    const alone = after(batch, { objectCenterRows: "present" });
    expect(each.shape).toEqual([2, 16]);
    expectClose(each.center.slice(0, 16), alone.center, { rtol: 1e-3 });
    expect(each.center.slice(16)).toEqual(Array.from({ length: 16 }, () => 0));
  });
});

describe("settings of the published code", () => {
  const one = (more: object, step = 2, images = batch) => {
    using state = createState(recipeOf(more));
    const values = scheduleValuesAt(state.recipe, length, step);
    const report = trainOn(state, images, values);
    const centers = Object.entries(state.centers).map(
      ([kind, { value }]) => [kind, value.toNumbers()] as const,
    );
    return { ...report, values, centers: Object.fromEntries(centers) };
  };
  const cold = { start: 0.01, end: 0.01, warmupEpochs: 0 };

  it("[OBJ] has a temperature of its own; patches keep theirs", () => {
    const [plain, own] = [one({}), one({ loss: { ...settings.loss, objectTemperature: cold } })];
    expect(own.teacherEntropy).toBeLessThan(0.5 * plain.teacherEntropy);
    expect(own.terms.patch).toBe(plain.terms.patch);
  });

  it("patches are hidden from an epoch on, and their temperature rises from there", () => {
    const from = { loss: { ...settings.loss, patchFromEpoch: 2, patchCenter: "all" } };
    const before = one(from, 3);
    expect([before.values.epoch, before.values.hidePatches]).toEqual([1, false]);
    expect(before.terms.patch).toBe(0);
    expect(Math.hypot(...before.centers["patch"]!)).toBeGreaterThan(0); // as published
    expect(one(from, 4).terms.patch).toBeGreaterThan(0);
    const nothing = { ...batch, global: { ...batch.global, hidden: new Uint8Array(G * B * N) } };
    expect(one({}, 3, nothing).terms).toEqual(before.terms);
    const { patchTemperature } = scheduleValuesAt(recipeOf(from), length, 4);
    expect(patchTemperature).toBe(scheduleValuesAt(recipeOf(), length, 0).patchTemperature);
  });

  it("the patch centre has a momentum of its own", () => {
    const loss = { ...settings.loss, patchCenterMomentum: 0.5 };
    const [plain, own] = [one({}).centers, one({ loss }).centers];
    expect(own["object"]).toEqual(plain["object"]);
    expectClose(
      own["patch"]!,
      plain["patch"]!.map((x) => (x / 0.1) * 0.5),
    );
  });

  for (const share of ["mlp", "none"] as const)
    it(`[OBJ] has another number of prototypes than [CLS], head.share ${share}`, () => {
      const head = { ...settings.head, share, objectPrototypes: 24, patchPrototypes: 20 };
      const loss = { ...settings.loss, clsWeight: 1 };
      const recipe = recipeOf({ model: { ...settings.model, tokens: "cls+obj" }, head, loss });
      using state = createState(recipe);
      const { terms } = trainOn(state, batch, scheduleValuesAt(recipe, length, 2));
      expect(Object.values(state.centers).map(({ value }) => value.shape)).toEqual([
        [16],
        [24],
        [20],
      ]);
      const prototypes = state.student.headOf("object").prototypesOf("object").weightV;
      expect(prototypes.shape).toEqual([24, 8]);
      expect(terms.object).toBeGreaterThan(0);
      const moments = [...state.optimizer.state().values()];
      const own = moments.find(({ mean }) => mean.shape.join() === "24,8");
      expect(own!.mean.norm().item()).toBeGreaterThan(0);
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
