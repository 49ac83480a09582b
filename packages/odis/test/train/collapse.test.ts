import { describe, expect, it } from "vitest";
import { CollapseWatch } from "../../src/train/watch.js";

const K = 128;
const most = Math.log(K);

/** What is said over steps 0..count-1 when every step looks like this. */
function said(
  signs: { teacherEntropy: number; marginalEntropy: number; similarityImages: number },
  count = 1000,
  watch = new CollapseWatch(K, 1000),
  from = 0,
): string[] {
  return Array.from({ length: count }, (_, step) =>
    watch.observe({ step: from + step, ...signs }),
  ).flatMap((text) => text ?? []);
}

const healthy = { teacherEntropy: 1.5, marginalEntropy: 0.95 * most, similarityImages: 0.6 };

describe("the watch for collapse", () => {
  it("says nothing of a run that learns, nor of the uniform beginning of any run", () => {
    expect(said(healthy)).toEqual([]);
    const uniform = { ...healthy, teacherEntropy: most, marginalEntropy: most };
    expect(said(uniform, 200)).toEqual([]);
  });

  it("names uniform targets once", () => {
    const [text, ...more] = said({
      ...healthy,
      teacherEntropy: 0.97 * most,
      marginalEntropy: 0.975 * most,
    });
    expect(text).toMatch(
      /^collapse: targets are uniform, they say nothing of the image \(entropy of a target 4\.71/,
    );
    expect(more).toEqual([]);
  });

  it("names one prototype that takes everything", () => {
    const [text] = said({ ...healthy, teacherEntropy: 0.01, marginalEntropy: 0.02 });
    expect(text).toMatch(
      /^collapse: one prototype takes every image .* lower loss\.centerMomentum/,
    );
  });

  it("names features that are the same for every image", () => {
    const [text] = said({ ...healthy, similarityImages: 0.999 });
    expect(text).toMatch(
      /^collapse: every image has the same features \(mean cosine of different images 0\.999/,
    );
  });

  it("says so when a run recovers", () => {
    const watch = new CollapseWatch(K, 1000);
    expect(said({ ...healthy, similarityImages: 0.999 }, 400, watch)).toHaveLength(1);
    const [text] = said(healthy, 200, watch, 400);
    expect(text).toMatch(
      /^step \d+: recovered; no more signs of: every image has the same features$/,
    );
  });

  it("names a collapse once, though its numbers change", () => {
    const watch = new CollapseWatch(K, 1000);
    const texts = [0.97, 0.98, 0.99].flatMap((share, part) =>
      said(
        { ...healthy, teacherEntropy: share * most, marginalEntropy: most * (share + 0.005) },
        300,
        watch,
        300 * part,
      ),
    );
    expect(texts).toHaveLength(1);
  });

  it("concludes nothing where no summary is trained, and ignores likeness of a single image", () => {
    const none = { teacherEntropy: Number.NaN, marginalEntropy: Number.NaN };
    expect(said({ ...none, similarityImages: Number.NaN })).toEqual([]);
    expect(said({ ...healthy, similarityImages: Number.NaN })).toEqual([]);
  });
});
