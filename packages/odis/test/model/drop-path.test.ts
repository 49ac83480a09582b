import { fromBuffer, Generator, type Tensor, tensor, zeros } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { Block } from "../../src/model/block.js";
import {
  addBranch,
  type DropRule,
  dropRates,
  type Kept,
  keptImages,
  rowScales,
} from "../../src/model/drop-path.js";
import { plainBlock } from "./shape.js";

const [B, T, D] = [6, 3, 8];

const tokens = (): Tensor =>
  tensor(
    Float32Array.from({ length: B * T * D }, (_, i) => Math.sin(i)),
    [B, T, D],
  );

/** Who keeps a branch, as a pass is told. */
function keptOf(kept: readonly number[], scale: number): Kept {
  const scales = new Float32Array(B);
  for (const image of kept) scales[image] = scale;
  return {
    images: fromBuffer(BigInt64Array.from(kept, BigInt), [kept.length]),
    count: kept.length,
    scale,
    scales: fromBuffer(scales, [B]),
  };
}

function draw(seed: number, rate: number, rule: DropRule) {
  const rng = new Rng("test", seed);
  return keptImages(
    Array.from({ length: B }, () => rng.uniform()),
    rate,
    rule,
  );
}

describe("the images that keep a branch", () => {
  it("are those whose number is below the rate's complement, by hand", () => {
    const uniforms = [0.1, 0.71, 0.69, 0.95, 0, 0.7];
    expect(keptImages(uniforms, 0.3, "sample")).toEqual({ kept: [0, 2, 4], scale: 1 / 0.7 });
    expect(keptImages(uniforms, 0, "sample").kept).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("are the ones with the least numbers under DINOv2's rule, always as many", () => {
    const uniforms = [0.9, 0.2, 0.99, 0.1, 0.95, 0.97];
    expect(keptImages(uniforms, 0.3, "subset")).toEqual({ kept: [0, 1, 3, 4], scale: 6 / 4 });
    expect(keptImages(uniforms, 0.9999, "subset")).toEqual({ kept: [3], scale: 6 });
    const seen = new Set(
      Array.from({ length: 20 }, (_, seed) => {
        const { kept } = draw(seed, 0.3, "subset");
        expect(kept).toHaveLength(4); // floor(6 * 0.7)
        return kept.join();
      }),
    );
    expect(seen.size).toBeGreaterThan(5);
  });

  it("are drawn each by itself at DINOv2's small rates, where a subset would be all of them", () => {
    const counts = Array.from({ length: 60 }, (_, seed) => draw(seed, 0.05, "subset").kept.length);
    expect(new Set(counts).size).toBeGreaterThan(1);
  });

  it("are fewer in deeper blocks, or as many in all", () => {
    const config = { depth: 3, dropPath: 0.4 };
    expect(dropRates({ ...config, dropPathDepth: "linear" })).toEqual([0, 0.2, 0.4]);
    expect(dropRates({ ...config, dropPathDepth: "uniform" })).toEqual([0.4, 0.4, 0.4]);
    expect(dropRates({ ...config, depth: 1, dropPathDepth: "linear" })).toEqual([0]);
  });
});

describe("stochastic depth", () => {
  it("scales the branches that stay and leaves the images that drop theirs as they are", () => {
    for (const seed of [1, 2, 3, 4]) {
      const { kept, scale } = draw(seed, 0.5, "sample");
      const x = tokens().requiresGrad_();
      const sum = addBranch(x, keptOf(kept, scale), (images) => images.mul(2));
      sum.sum().backward();
      const factors = Array.from({ length: B }, (_, b) => (kept.includes(b) ? 1 + 2 * scale : 1));
      const wanted = x.detach().mul(tensor(factors, [B, 1, 1]));
      expect(sum.sub(wanted).abs().amax().item()).toBeLessThan(1e-6);
      expect(x.grad!.select(2, 0).select(1, 0).toNumbers()).toEqual(factors);
    }
  });

  it("computes the branch for no image when all drop it, and for all when none does", () => {
    const x = tokens();
    const never = addBranch(x, keptOf([], 2), () => {
      throw new Error("not needed");
    });
    expect(never.toNumbers()).toEqual(x.toNumbers());
    const all = keptOf([0, 1, 2, 3, 4, 5], 1);
    const always = addBranch(x, all, (images, which) => {
      expect(which).toBeUndefined();
      return images;
    });
    expect(always.toNumbers()).toEqual(x.mul(2).toNumbers());
  });

  it("keeps the mean: over many draws the scaled branches average to the branch", () => {
    const draws = 2000;
    let total = 0;
    for (let seed = 0; seed < draws; seed += 1) {
      const { kept, scale } = draw(seed, 0.2, "sample");
      total += addBranch(zeros([B, 1, 1]), keptOf(kept, scale), (images) => images.add(1))
        .mean()
        .item();
    }
    // standard error: sqrt(0.2 / 0.8 / (6 * 2000)) = 0.0046
    expect(Math.abs(total / draws - 1)).toBeLessThan(0.02);
  });

  it("gives the rows that are read what it gives all tokens", () => {
    const block = new Block({ ...plainBlock, dim: D, heads: 2 });
    block.init(new Generator(3));
    const rows = tensor(BigInt64Array.from([0n, 4n, 5n, 17n]));
    const drops = { attention: keptOf([0, 1, 4], 2), feedForward: keptOf([1, 5], 2) };
    const all = block.forward(tokens(), { drops });
    const some = block.forward(tokens(), { drops, rows });
    const wanted = all.flatten(0, 1).indexSelect(0, rows);
    expect(some.sub(wanted).abs().amax().item()).toBeLessThan(1e-5);
    // Rows 0, 4, 5 and 17 belong to images 0, 1, 1 and 5.
    expect(rowScales(drops.feedForward, T, rows).toNumbers()).toEqual([0, 2, 2, 2]);
    const images = tensor(BigInt64Array.from([1n, 1n, 2n]));
    expect(rowScales(drops.feedForward, images).toNumbers()).toEqual([2, 2, 0]);
  });
});
