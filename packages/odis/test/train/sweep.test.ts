import { describe, expect, it } from "vitest";
import { z } from "zod";
import {
  type Batch,
  batchOver,
  type BatchShape,
  newSlotBuffer,
  slotOver,
  viewsOfImage,
} from "../../src/batches/batch.js";
import { OdisError } from "../../src/core/errors.js";
import { Rng } from "../../src/core/rng.js";
import type { Sample } from "../../src/data/dataset.js";
import { objectFromRuns } from "../../src/objects/mask.js";
import { boxRle } from "../../src/objects/object.js";
import { runLength, scheduleValuesAt } from "../../src/recipe/schedules.js";
import { type Recipe, recipeSchema, resolveRecipe } from "../../src/recipe/schema.js";
import { trainOn } from "../../src/train/loop.js";
import { checkMemory } from "../../src/train/memory.js";
import { createState } from "../../src/train/state.js";
import { makeViews } from "../../src/views/views.js";

// Every number that a recipe has, at values that nobody means: either a step runs, or one sentence
// says why not. Leaves come from the schema itself, so that a new setting joins by being there.

const values = [0, -1, 1e9, 1e300];
/** More than a tiny step takes, less than what would slow this machine down. */
const MEMORY = 500e6;

const tiny = {
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  views: { globals: { size: 24 }, locals: { count: 1, size: 16 } },
  optim: { batch: 2 },
};
/** Settings under which all others are read. */
const rich = {
  model: { tokens: "cls+obj", ffn: "swiglu", layerScale: 0.1, dropPath: 0.2, dropRule: "subset" },
  head: { share: "none" },
  views: { visible: { rule: "coverage" }, masks: { kind: "box" }, locals: { masked: true } },
  loss: { clsWeight: 1, koleoWeight: 0.1, patchCenter: "all" },
};

type Path = readonly string[];

function inner(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPipe) return inner(schema.out);
  const wraps =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodOptional;
  return wraps ? inner(schema.unwrap()) : schema;
}

/** Numbers of a schema, and something for what must stand beside them where a group is optional. */
function* numbers(schema: z.core.$ZodType, at: Path = []): Generator<Path> {
  const here = inner(schema);
  if (here instanceof z.ZodNumber) yield at;
  else if (here instanceof z.ZodObject)
    for (const [key, child] of Object.entries(here.shape)) yield* numbers(child, [...at, key]);
  else if (here instanceof z.ZodTuple)
    for (const [index, child] of here.def.items.entries())
      yield* numbers(child, [...at, `${index}`]);
  else if (here instanceof z.ZodArray) yield* numbers(here.element, [...at, "0"]);
}

function least(schema: z.core.$ZodType): unknown {
  const here = inner(schema);
  if (here instanceof z.ZodNumber) return Math.max(1, here.minValue ?? 1);
  if (here instanceof z.ZodObject)
    return Object.fromEntries(Object.entries(here.shape).map(([key, one]) => [key, least(one)]));
  throw new Error(`nothing is known that would do for an optional ${here._zod.def.type}`);
}

/** The settings with another number at a path; groups that were unset are filled on the way. */
function changed(settings: unknown, schema: z.core.$ZodType, path: Path, value: number): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const here = inner(schema);
  if (Array.isArray(settings))
    return settings.map((one: unknown, index) => (`${index}` === key ? value : one));
  if (!(here instanceof z.ZodObject)) throw new Error(`no group of settings at ${path.join(".")}`);
  const group = settings ?? least(here);
  const child: z.core.$ZodType = here.shape[key];
  return {
    ...(group as object),
    [key]: changed(Reflect.get(group as object, key), child, rest, value),
  };
}

const pixels = (width: number, height: number): Uint8Array =>
  Uint8Array.from({ length: 3 * width * height }, (_, i) => (7 * i * i + 3 * i) % 251);
const sample: Sample = {
  key: "picture.png",
  width: 40,
  height: 30,
  rgb: pixels(40, 30),
  objects: [objectFromRuns(boxRle([8, 6, 20, 16], 40, 30), { id: 0, label: 0 })],
};

/** As the loader makes it. */
function batchOf({ views, model, optim, seed }: Recipe): Batch {
  const { globals, locals } = views;
  const shape: BatchShape = {
    images: optim.batch,
    objects: views.object.count,
    room: 0,
    global: {
      views: globals.count,
      size: globals.size,
      patches: (globals.size / model.patch) ** 2,
    },
    local: {
      views: locals.count,
      size: locals.size,
      patches: locals.masked ? (locals.size / model.patch) ** 2 : 0,
    },
  };
  const slot = slotOver(newSlotBuffer(shape), shape);
  for (let image = 0; image < optim.batch; image += 1)
    makeViews(
      sample,
      views,
      model.patch,
      new Rng("views", seed, image),
      viewsOfImage(slot, shape, image),
    );
  const keys = Array.from({ length: optim.batch }, () => sample.key);
  return batchOver(slot, shape, 0, keys, []);
}

/** Resolves the settings and makes a step of them, as a run does. */
function attempt(settings: unknown): string {
  try {
    const recipe = resolveRecipe([{ source: "test", values: settings as Record<string, unknown> }]);
    checkMemory(recipe, {}, MEMORY);
    const length = runLength(recipe, 4 * recipe.optim.batch);
    using state = createState(recipe);
    trainOn(state, batchOf(recipe), scheduleValuesAt(recipe, length, 0));
    return "a step ran";
  } catch (error) {
    if (error instanceof OdisError) return error.message;
    throw error;
  }
}

const paths = [...numbers(recipeSchema)];

describe("every number of a recipe", () => {
  it("is among those tried", () => {
    const known = paths.map((path) => path.join("."));
    expect(known.length).toBeGreaterThan(90);
    for (const one of ["optim.beta1", "views.globals.scale.0", "loss.objectTemperature.start"])
      expect(known).toContain(one);
  });

  for (const [name, base] of [
    ["", resolveRecipe([{ source: "tiny", values: tiny }])],
    [
      " beside settings that read it",
      resolveRecipe([
        { source: "tiny", values: tiny },
        { source: "rich", values: rich },
      ]),
    ],
  ] as const)
    for (const path of paths)
      it(`${path.join(".")} of ${values.join(", ")} runs or is refused in a sentence${name}`, () => {
        const { name: _name, ...settings } = base;
        for (const value of values) {
          const said = attempt(changed(settings, recipeSchema, path, value));
          if (said === "a step ran") continue;
          expect(said).not.toMatch(/internal|undefined|\[object|\n/);
          expect(said.length).toBeLessThan(600);
          // A sentence about this setting, or about what it makes of the step.
          const names = path.filter((key) => !/^\d+$/.test(key));
          const about = [names.join("."), names.slice(0, -1).join("."), names.at(-1)!];
          expect(
            about.some((place) => said.includes(place)) || /not finite|of memory/.test(said),
            said,
          ).toBe(true);
        }
      });
});
