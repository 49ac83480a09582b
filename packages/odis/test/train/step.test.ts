import { noGrad } from "@odis/torch";
import { describe, expect, it } from "vitest";
import type { Batch } from "../../src/data/batch.js";
import { NonFiniteLossError } from "../../src/errors.js";
import { type Length, knobsAt, runLength } from "../../src/train/knobs.js";
import { type Recipe, resolveRecipe } from "../../src/train/recipe.js";
import { createState, stateTensors, type TrainState } from "../../src/train/state.js";
import { trainStep } from "../../src/train/step.js";
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

/** Some picture: every byte follows from its place. */
const bytes = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => (7 * i * i + 3 * i) % 256);
const everyThird = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, i) => Number(i % 3 === 0));

const batch: Batch = {
  step: 0,
  size: B,
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
    const { terms, gradient } = trainStep(state, batch, knobsAt(state.recipe, length, 0));
    expect(terms.object + terms.patch + terms.koleo).toBeCloseTo(terms.total, 5);
    expect(gradient).toBeGreaterThan(0);
    expect(bits(state)).not.toBe(before);
  });

  it("gives the same bits twice", () => {
    const run = (): string => {
      using state = createState(recipeOf());
      for (const step of [0, 1, 2]) trainStep(state, batch, knobsAt(state.recipe, length, step));
      return bits(state);
    };
    expect(run()).toBe(run());
  });

  it("leaves no trace of a loss that is not finite, and names the images", () => {
    using state = createState(recipeOf());
    noGrad(() => state.student.head.mlp[0]!.parameters()[0]!.fill_(Number.NaN));
    const before = bits(state);
    const step = (): unknown => trainStep(state, batch, knobsAt(state.recipe, length, 4));
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
    const step = (): unknown => trainStep(state, batch, knobsAt(state.recipe, length, 0));
    expect(step).toThrow(
      /the loss or its gradient is not finite \(total \d+\.\d+.*gradient (Infinity|NaN)\)/,
    );
    expect(bits(state)).toBe(before);
  });
});

describe("the recipe", () => {
  it("has no setting that nobody reads", () => {
    const read = (more: object): readonly string[] => {
      const { config, unread } = recordingProxy(recipeOf(more));
      using state = createState(config);
      trainStep(state, batch, knobsAt(config, runLength(config, 6), 0));
      checkViewSizes(config.views, config.model.patch);
      return unread();
    };
    const unread = [read({}), read({ loss: { centering: "sinkhorn" } })];
    const never = unread[0]!.filter((path) => unread[1]!.includes(path));
    // The views' own test covers the rest of views; the name is for people.
    expect(never.filter((path) => !path.startsWith("views."))).toEqual(["name"]);
  });
});
