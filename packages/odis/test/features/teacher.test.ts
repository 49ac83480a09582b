import { fromBuffer, liveTensors, tidy } from "@odis/torch";
import fc from "fast-check";
import { load, openSource, parseDataSpec, type Sample, type SceneObject } from "odis";
import { beforeAll, describe, expect, it } from "vitest";
import type { FeatureQuery } from "../../src/features/index.js";
import { expectClose } from "../close.js";
import { randomRun } from "../formats/random-run.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
const photos = parseDataSpec(`coco:${new URL("../fixtures/coco-6", import.meta.url).pathname}`);
const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
let samples: readonly Sample[];

beforeAll(async () => {
  const source = await openSource(photos);
  samples = await Promise.all(Array.from({ length: source.size }, (_, at) => source.read(at)));
});

/** Bits of float16 as numbers. */
const halfValues = (bits: Uint16Array): Float32Array =>
  tidy(() =>
    fromBuffer(bits, [bits.length], { dtype: "float16" }).to({ dtype: "float32" }).toFloat32(),
  );

describe("Teacher.featuresOf", () => {
  it.each([
    ["[OBJ]", "odis", {}],
    ["[CLS] and [OBJ]", "odis-cls", {}],
    ["[CLS]", "ibot", {}],
    ["several [OBJ]", "odis-multi", { views: { object: { count: 2 } } }],
    ["objects kept apart", "odis-cls", { model: { objectAttention: "separate" } }],
    ["objects isolated", "odis-isolated", {}],
    ["means of patches", "odis", { loss: { objectFrom: "pooled" } }],
  ] as const)(
    "%s: many at once are the same as one by one, in their order",
    (_, name, settings) => {
      const { path } = randomRun(scratch(), name, views, settings);
      using teacher = load(path);
      // All objects and whole images, in a random order: a pass takes 256 rows at most.
      const all = samples.flatMap((sample): FeatureQuery[] => [
        { sample },
        ...sample.objects
          .filter(({ area }) => area > 0.01 * sample.width * sample.height) // visible at 32 pixels
          .map((object) => ({ sample, object })),
      ]);
      const wanted = new Map(
        all.map((query) => [query, teacher.features(query.sample, query.object)]),
      );
      const before = liveTensors();
      fc.assert(
        fc.property(fc.array(fc.constantFrom(...all), { maxLength: 40 }), (queries) => {
          const got = teacher.featuresOf(queries);
          const expected = queries.flatMap((query) => [...wanted.get(query)!]);
          expectClose(got, expected, { atol: 1e-4, rtol: 1e-4 });
        }),
        { numRuns: 20 },
      );
      const many = Array.from({ length: 600 }, (_, at) => all[(7 * at) % all.length]!);
      const got = teacher.featuresOf(many);
      expect(got).toHaveLength(600 * teacher.width);
      expectClose(
        got,
        many.flatMap((query) => [...wanted.get(query)!]),
        { atol: 1e-4, rtol: 1e-4 },
      );
      const { features, patches } = teacher.featuresAndPatches(many);
      expectClose(features, [...got], { atol: 1e-4, rtol: 1e-4 });
      const whole = many.flatMap(({ sample, object }) => (object ? [] : [sample]));
      expect(patches).toHaveLength(whole.length);
      const tokens = new Map(samples.map((sample) => [sample, teacher.patchFeatures(sample)]));
      for (const [at, bits] of patches.entries())
        expectClose(halfValues(bits), [...tokens.get(whole[at]!)!], { atol: 2e-3, rtol: 2e-3 });
      expect(liveTensors()).toBe(before);
    },
  );

  it("names an object that the frame has lost", () => {
    const { path } = randomRun(scratch(), "odis", views);
    using teacher = load(path, { frame: "center" });
    const [sample] = samples;
    const pixels = new Uint8Array(sample!.width * sample!.height);
    pixels[0] = 1; // the first pixel of a wide image
    const lost: SceneObject = {
      id: 99,
      label: -1,
      area: 1,
      box: { x: 0, y: 0, width: 1, height: 1 },
      pixels: () => pixels,
    };
    expect(() =>
      teacher.featuresOf([{ sample: sample! }, { sample: sample!, object: lost }]),
    ).toThrow(`${sample!.key}: no pixel of object 99 is inside the center frame`);
  });

  it("frees the network when the size does not fit", () => {
    const { path } = randomRun(scratch(), "odis", views);
    const before = liveTensors();
    expect(() => load(path, { size: 30 })).toThrow(
      "size: got 30; wanted a multiple of the patch size 4",
    );
    expect(liveTensors()).toBe(before);
  });
});
