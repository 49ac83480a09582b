import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/core/errors.js";
import { recipeLayers, recipeNames } from "../../src/recipe/methods.js";
import { type Recipe, resolveRecipe } from "../../src/recipe/schema.js";
import { stepCost, stepFlops } from "../../src/train/cost.js";
import { bytesText, checkMemory } from "../../src/train/memory.js";
import { buildNetwork } from "../../src/train/state.js";

const small = {
  model: { dim: 12, depth: 3, heads: 2, patch: 8 },
  head: { hidden: 10, bottleneck: 6, prototypes: 14 },
  views: { globals: { size: 24 }, locals: { size: 16 } },
};
const recipeOf = (...values: object[]): Recipe =>
  resolveRecipe(values.map((one) => ({ source: "test", values: { ...one } })));

describe("the count of weights", () => {
  const options: readonly object[] = [
    {},
    { model: { ffn: "swiglu", layerScale: 1e-5 } },
    { head: { share: "mlp", patchPrototypes: 20 } },
    { head: { share: "none", patchPrototypes: 20, patchBottleneck: 4 } },
    { model: { objectEmbedding: "each", objectPosition: "each" } },
  ];
  for (const name of recipeNames)
    it(`is that of the network: ${name}`, () => {
      for (const more of options) {
        const recipe = resolveRecipe([
          ...recipeLayers(name),
          ...[small, { head: { share: "all", patchPrototypes: 14, patchBottleneck: 6 } }, more].map(
            (values) => ({ source: "test", values: { ...values } }),
          ),
        ]);
        const network = buildNetwork(recipe, "student");
        const wanted = network.parameters().reduce((sum, { size }) => sum + size, 0);
        expect(stepCost(recipe).parameters, JSON.stringify(more)).toBe(wanted);
        network.free();
      }
    });
});

describe("floating-point operations", () => {
  it("of the smallest network, by hand", () => {
    // One image, one view of one patch of one pixel, [OBJ]: T = 2, D = 2, one block, r = 1.
    const recipe = {
      ...recipeOf(small),
      model: { ...recipeOf(small).model, dim: 2, depth: 1, heads: 1, mlpRatio: 1, patch: 1 },
      head: { ...recipeOf(small).head, hidden: 3, bottleneck: 4, prototypes: 5 },
      views: {
        ...recipeOf(small).views,
        globals: { ...recipeOf(small).views.globals, count: 1, size: 1 },
        locals: { ...recipeOf(small).views.locals, count: 0, size: 1 },
      },
      optim: { ...recipeOf(small).optim, batch: 1 },
    };
    const products = (rows: number, from: number, to: number): number => 2 * rows * from * to;
    const embedding = products(1, 3, 2);
    const block =
      products(2, 2, 6) + // q, k, v
      2 * products(2, 2, 2) + // scores, mixing
      products(1, 2, 2) + // output, of the row that is read
      2 * products(1, 2, 2); // feed-forward
    const head = products(1, 2, 3) + products(1, 3, 3) + products(1, 3, 4) + products(1, 4, 5);
    const teacher = embedding + block + head;
    const student = 2 * embedding + 3 * (block + head); // no gradient of pixels
    const read = { teacher: 1, studentGlobal: 1, studentLocal: 0 };
    expect(stepFlops(recipe, read, true)).toBe(teacher + student);
  });
});

/** Bytes that a process grows by in two steps; the less of two, since a busy machine only adds to it. */
async function measured(recipe: Recipe): Promise<number> {
  const script = new URL("peak-memory.mjs", import.meta.url).pathname;
  const once = () => promisify(execFile)("node", [script, JSON.stringify(recipe)]);
  return Math.min(Number((await once()).stdout), Number((await once()).stdout));
}

describe("the memory of a step", () => {
  const views = { globals: { size: 96 }, locals: { size: 48, count: 2 } };
  const model = { dim: 192, heads: 3, depth: 8, patch: 8 };
  const head = { hidden: 512, prototypes: 1024 };
  const cases: Readonly<Record<string, object>> = {
    "mostly activations": { model, head, views, optim: { batch: 6 } },
    "activations computed again": { model, head, views, optim: { batch: 6, memory: "recompute" } },
    "in pieces": { model, head, views, optim: { batch: 6, accumulate: 3 } },
    "mostly weights": {
      model: { dim: 512, heads: 8, depth: 10, patch: 16 },
      head,
      views,
      optim: { batch: 1 },
    },
    "mostly prototypes": {
      model: { dim: 64, heads: 2, depth: 2, patch: 16 },
      head: { hidden: 512, prototypes: 65_536 },
      views,
      optim: { batch: 6 },
    },
  };
  for (const [name, values] of Object.entries(cases))
    it(`is as estimated within a factor of 1.5: ${name}`, async () => {
      const recipe = recipeOf(values);
      const { memory } = stepCost(recipe);
      // The steps' batches come from no loader.
      const ratio = (memory.total - memory.waiting) / (await measured(recipe));
      expect(ratio).toBeGreaterThan(1 / 1.5);
      expect(ratio).toBeLessThan(1.5);
    });

  it("is shared by processes, but for weights and moments", () => {
    const recipe = recipeOf({ optim: { batch: 64 } });
    const [one, eight] = [1, 8].map((processes) => stepCost(recipe, { processes }).memory);
    expect(eight!.activations).toBeLessThan(0.2 * one!.activations);
    expect(eight!.batch).toBeCloseTo(one!.batch / 8, 0);
    expect(eight!.moments).toBe(one!.moments);
  });
});

describe("sizes that nobody can hold", () => {
  const GB = 1e9;
  const refusal = (values: object, available = 24 * GB): string => {
    try {
      checkMemory(recipeOf(values), {}, available);
      return "fits";
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return error instanceof Error ? error.message : "";
    }
  };

  const cases: readonly (readonly [values: object, message: RegExp])[] = [
    [
      { model: { depth: 2000 } },
      /needs about 2\.5 TB .* has 24 GB.* activations .*model\.depth=\d+/,
    ],
    [{ model: { dim: 30_000 } }, /needs about [\d.]+ TB.*model\.dim=\d+/],
    [{ views: { globals: { size: 4096 } } }, /views\.globals\.size=\d+/],
    [{ model: { patch: 1 } }, /model\.patch=(8|16|32)/],
    [{ optim: { batch: 100_000 } }, /optim\.batch=\d+/],
    [{ head: { prototypes: 300_000 } }, /The same numbers fit with optim\.accumulate=\d+\./],
    [{ model: { depth: 1e9 }, optim: { batch: 1e9 } }, /begin with a recipe of a named size/],
  ];
  for (const [values, message] of cases)
    it(`are refused with what would fit: ${JSON.stringify(values)}`, () => {
      const text = refusal(values);
      expect(text).toMatch(message);
      // The advice is true.
      const advice = /fit with ([\w.]+)=(\d+)/.exec(text);
      if (!advice) return;
      const [, path = "", value] = advice;
      const [group = "", ...rest] = path.split(".");
      const changed = rest.reduceRight<unknown>((inner, key) => ({ [key]: inner }), Number(value));
      const recipe = resolveRecipe([
        { source: "asked", values: { ...values } },
        { source: "advised", values: { [group]: changed } },
      ]);
      expect(stepCost(recipe).memory.total).toBeLessThanOrEqual(24 * GB);
    });

  it("are those of the machine that is meant, and of all processes on it", () => {
    const recipe = recipeOf({ optim: { batch: 64 } });
    const { total } = stepCost(recipe).memory;
    expect(refusal(recipe, total)).toBe("fits");
    expect(refusal(recipe, total / 2)).toMatch(/^a step of this recipe needs about [\d.]+ GB/);
    const both = { processes: 2 };
    const each = stepCost(recipe, both).memory.total;
    expect(() => checkMemory(recipe, both, 2 * each)).not.toThrow();
    expect(() => checkMemory(recipe, both, each)).toThrow(/each of 2 processes has/);
  });

  it("are told in units that people read", () => {
    expect([830, 999e6, 9.44e9, 56e12, 5e25].map(bytesText)).toEqual([
      "830 B",
      "999 MB",
      "9.4 GB",
      "56 TB",
      "5.0e+10 PB",
    ]);
  });
});
