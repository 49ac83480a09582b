import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  difference,
  differs,
  perImage,
  type SeedScore,
  summarise,
} from "../../src/compare/statistics.js";
import { estimate, imageDraws, limits } from "../../src/evaluate/statistics.js";
import type { ShareOutcome } from "../../src/evaluate/outcome.js";
import { Rng } from "../../src/core/rng.js";

function outcome(hits: readonly number[], images: readonly string[]): ShareOutcome {
  return { kind: "share", hits: Uint8Array.from(hits), images };
}

function scored(seed: number, hits: readonly number[], images: readonly string[]): SeedScore {
  const value = hits.reduce((sum, hit) => sum + hit, 0) / hits.length;
  return { seed, value, perImage: perImage(outcome(hits, images)) };
}

const values = (...of: readonly number[]): SeedScore[] =>
  of.map((value, seed) => ({ seed, value }));

describe("summarise", () => {
  it("of three seeds alone is Student's interval", () => {
    const { value, deviation, low, high, seeds, overImages } = summarise(values(0.5, 0.6, 0.7));
    expect([value, deviation]).toEqual([expect.closeTo(0.6, 12), expect.closeTo(0.1, 12)]);
    expect({ seeds, overImages }).toEqual({ seeds: 3, overImages: false });
    // t(.975, 2 degrees of freedom) = 4.303, over the root of 3
    expect((high - low) / 2 / (0.1 * (4.303 / Math.sqrt(3)))).toBeGreaterThan(0.9);
    expect((high - low) / 2 / (0.1 * (4.303 / Math.sqrt(3)))).toBeLessThan(1.1);
    expect((low + high) / 2).toBeCloseTo(0.6, 10); // both signs of every draw
  });

  it("of one seed is that evaluation's own interval over images", () => {
    const hits = [1, 1, 0, 0, 1, 0, 1, 0, 0, 1];
    const images = hits.map((_, i) => `image ${i >> 1}`);
    const { low, high, deviation } = summarise([scored(0, hits, images)]);
    const own = estimate(outcome(hits, images), 0);
    expect({ low, high, deviation }).toEqual({ low: own.low, high: own.high, deviation: NaN });
  });

  it("of seeds that agree in everything is as wide as the images make it", () => {
    const hits = [1, 1, 0, 0, 1, 0, 1, 0, 0, 1];
    const images = hits.map((_, i) => `image ${i}`);
    const own = estimate(outcome(hits, images), 0);
    const all = summarise([0, 1, 2].map((seed) => scored(seed, hits, images)));
    expect(all.low).toBeCloseTo(own.low, 10);
    expect(all.high).toBeCloseTo(own.high, 10);
    expect(all.deviation).toBe(0);
  });

  it("does not know what nothing or one value alone are worth", () => {
    expect(summarise([])).toMatchObject({ value: NaN, low: NaN, high: NaN, seeds: 0 });
    expect(summarise(values(0.4))).toMatchObject({ value: 0.4, low: NaN, deviation: NaN });
  });
});

describe("difference", () => {
  it("has the exact interval of two images of which one differs", () => {
    // Two draws from two images give 0, 1/2 and 1 with chances 1/4, 1/2, 1/4.
    const images = ["a", "b"];
    const found = difference([scored(0, [1, 1], images)], [scored(0, [0, 1], images)]);
    expect(found).toMatchObject({ value: 0.5, low: 0, high: 1, seeds: 1, overImages: true });
    expect(differs(found)).toBe(false);
  });

  it("pairs by seed and leaves out seeds that only one side has", () => {
    const left = [0, 1, 2].map((seed) => ({ seed, value: 0.5 + seed / 10 }));
    const right = [2, 0].map((seed) => ({ seed, value: 0.4 + seed / 10 }));
    const found = difference(left, right);
    // Seeds make both sides better alike: the difference is .1 for each pair, without any spread.
    expect(found.seeds).toBe(2);
    expect(found.value).toBeCloseTo(0.1, 12);
    expect(found.deviation).toBeCloseTo(0, 12);
    expect(found.low).toBeCloseTo(0.1, 12);
    expect(differs(found)).toBe(true);
    expect(difference(left, [{ seed: 7, value: 1 }]).seeds).toBe(0);
  });

  it("of other test images lets only the seeds speak", () => {
    const left = [0, 1].map((seed) => scored(seed, [1, seed], ["a", "b"]));
    const right = [0, 1].map((seed) => scored(seed, [0, 0], ["a", "c"]));
    expect(difference(left, right).overImages).toBe(false);
    expect(differs(difference([left[0]!], [right[0]!]))).toBeUndefined();
  });

  const rows = fc
    .record({ seeds: fc.integer({ min: 1, max: 4 }), objects: fc.integer({ min: 1, max: 12 }) })
    .chain(({ seeds, objects }) => {
      const hits = fc.array(fc.integer({ min: 0, max: 1 }), {
        minLength: objects,
        maxLength: objects,
      });
      const side = fc.array(hits, { minLength: seeds, maxLength: seeds });
      return fc.tuple(side, side);
    })
    .map((sides) =>
      sides.map((side) =>
        side.map((hits, seed) =>
          scored(
            seed,
            hits,
            hits.map((_, i) => `image ${i % 5}`),
          ),
        ),
      ),
    );

  it("of a row with itself is nothing but 0", () => {
    fc.assert(
      fc.property(rows, ([row]) => {
        expect(difference(row!, row!)).toMatchObject({ value: 0, low: 0, high: 0 });
      }),
      { numRuns: 20 },
    );
  });

  it("turned round has the opposite sign", () => {
    fc.assert(
      fc.property(rows, ([left, right]) => {
        const [there, back] = [difference(left!, right!), difference(right!, left!)];
        expect(there.value).toBeCloseTo(-back.value, 12);
        expect(there.low).toBeCloseTo(-back.high, 2); // the draws of images are not symmetric
        expect(there.low).toBeLessThanOrEqual(there.value + 1e-12);
        expect(there.high).toBeGreaterThanOrEqual(there.value - 1e-12);
      }),
      { numRuns: 20 },
    );
  });
});

describe("a simulated comparison whose truth is known", () => {
  const truth = 0.06;
  /** Hits of two rows by chance: images are hard or easy, alike for both or not, and seeds lucky. */
  function experiment(
    rng: Rng,
    { seeds, images, luck }: Record<"seeds" | "images" | "luck", number>,
  ) {
    const names = Array.from({ length: 2 * images }, (_, i) => `image ${i % images}`);
    const ease = Array.from({ length: images }, () => 0.1 * rng.normal());
    const taste = Array.from({ length: images }, () => 0.08 * rng.normal());
    const row = (sign: 1 | -1): SeedScore[] =>
      Array.from({ length: seeds }, (_, seed) => {
        const chance = 0.5 + (sign * truth) / 2 + luck * rng.normal();
        const hits = names.map((_, i) =>
          Number(rng.bool(chance + ease[i % images]! + (sign * taste[i % images]!) / 2)),
        );
        return scored(seed, hits, names);
      });
    return [row(1), row(-1)] as const;
  }

  /** The usual way: seeds drawn with replacement as images are. */
  function resamplingSeeds(left: readonly SeedScore[], right: readonly SeedScore[], rng: Rng) {
    const [a, b] = [left, right].map((row) => row.map((score) => score.perImage!.draws()));
    return limits(
      imageDraws(left[0]!.perImage!.images.length, 0).map((_, draw) => {
        const drawn = left.map(() => rng.int(0, left.length - 1));
        const sum = drawn.reduce((total, s) => total + a![s]![draw]! - b![s]![draw]!, 0);
        return sum / left.length;
      }),
    );
  }

  it.each([
    { seeds: 1, images: 60, luck: 0 },
    { seeds: 2, images: 60, luck: 0.03 },
    { seeds: 3, images: 60, luck: 0.05 },
    { seeds: 5, images: 60, luck: 0.02 },
  ])("lies in about 95 of 100 intervals: %j", (setup) => {
    const rng = new Rng("coverage", setup.seeds, setup.luck * 1000);
    const times = 120;
    const held = Array.from({ length: times }, () => {
      const { low, high } = difference(...experiment(rng, setup));
      return low <= truth && truth <= high;
    });
    const share = held.filter(Boolean).length / times;
    expect(share).toBeGreaterThan(0.9);
    expect(share).toBeLessThanOrEqual(1);
  });

  it("lies outside far more often when the few seeds are drawn again", () => {
    const rng = new Rng("coverage of drawn seeds");
    const times = 100;
    let [ours, theirs] = [0, 0];
    for (let i = 0; i < times; i += 1) {
      const [left, right] = experiment(rng, { seeds: 2, images: 60, luck: 0.2 });
      const mine = difference(left, right);
      const other = resamplingSeeds(left, right, rng);
      ours += Number(mine.low <= truth && truth <= mine.high);
      theirs += Number(other.low <= truth && truth <= other.high);
    }
    expect(ours / times).toBeGreaterThan(0.9);
    expect(theirs / times).toBeLessThan(0.75);
  });
});
