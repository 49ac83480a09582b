import { Generator, type Tensor, tensor, zeros } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Block } from "../../src/model/block.js";
import { plainBlock } from "./shape.js";
import { addBranch, rowScales } from "../../src/model/drop-path.js";

const [B, T, D] = [6, 3, 8];
const rule = "sample" as const;

const tokens = (): Tensor =>
  tensor(
    Float32Array.from({ length: B * T * D }, (_, i) => Math.sin(i)),
    [B, T, D],
  );

/** Which images keep their branch under this seed. */
function kept(seed: number, keep: number): boolean[] {
  const sum = addBranch(
    zeros([B, 1, 1]),
    { keep, rule, generator: new Generator(seed) },
    (images) => images.add(1),
  );
  return sum.toNumbers().map((value) => value > 0);
}

describe("stochastic depth", () => {
  it("scales the branches that stay and leaves the images that drop theirs as they are", () => {
    const keep = 0.5;
    for (const seed of [1, 2, 3, 4]) {
      const x = tokens().requiresGrad_();
      const sum = addBranch(x, { keep, rule, generator: new Generator(seed) }, (images) =>
        images.mul(2),
      );
      sum.sum().backward();
      const factors = kept(seed, keep).map((stays) => (stays ? 1 + 2 / keep : 1));
      const wanted = x.detach().mul(tensor(factors, [B, 1, 1]));
      expect(sum.sub(wanted).abs().amax().item()).toBeLessThan(1e-6);
      expect(x.grad!.select(2, 0).select(1, 0).toNumbers()).toEqual(factors);
    }
  });

  it("computes the branch for no image when all drop it, and for all when none does", () => {
    const x = tokens();
    const never = addBranch(x, { keep: 1e-9, rule, generator: new Generator(0) }, () => {
      throw new Error("not needed");
    });
    expect(never.toNumbers()).toEqual(x.toNumbers());
    const always = addBranch(x, { keep: 1, rule, generator: new Generator(0) }, (images, which) => {
      expect(which).toBeUndefined();
      return images;
    });
    expect(always.toNumbers()).toEqual(x.mul(2).toNumbers());
  });

  it("keeps the mean: over many draws the scaled branches average to the branch", () => {
    const dropPath = { keep: 0.8, rule, generator: new Generator(7) } as const;
    let total = 0;
    const draws = 2000;
    for (let i = 0; i < draws; i += 1)
      total += addBranch(zeros([B, 1, 1]), dropPath, (images) => images.add(1))
        .mean()
        .item();
    // standard error: sqrt(0.2 / 0.8 / (6 * 2000)) = 0.0046
    expect(Math.abs(total / draws - 1)).toBeLessThan(0.02);
  });

  it("gives the rows that are read what it gives all tokens", () => {
    const block = new Block({ ...plainBlock, dim: D, heads: 2 }, 0.5);
    block.init(new Generator(3));
    const rows = tensor(BigInt64Array.from([0n, 4n, 5n, 17n]));
    const all = block.forward(tokens(), { dropPath: new Generator(5) });
    const some = block.forward(tokens(), { dropPath: new Generator(5), rows });
    const wanted = all.flatten(0, 1).indexSelect(0, rows);
    expect(some.sub(wanted).abs().amax().item()).toBeLessThan(1e-5);
    const scales = rowScales([B, T], rows, {
      keep: 0.5,
      rule,
      generator: new Generator(1),
    });
    expect(scales.shape).toEqual([4, 1]);
  });

  it("drops always as many images under DINOv2's rule, and scales by what is left", () => {
    const dropPath = { keep: 0.7, rule: "subset", generator: new Generator(11) } as const;
    const seen = new Set<string>();
    for (let i = 0; i < 20; i += 1) {
      const values = addBranch(zeros([B, 1, 1]), dropPath, (images) => images.add(1)).toNumbers();
      const kept = values.filter((value) => value > 0);
      expect(kept).toHaveLength(4); // floor(6 * 0.7)
      expect(kept.every((value) => Math.abs(value - 6 / 4) < 1e-6)).toBe(true);
      seen.add(values.join());
    }
    expect(seen.size).toBeGreaterThan(5);
  });

  it("draws each image by itself at DINOv2's small rates, where a subset would be all of them", () => {
    const dropPath = { keep: 0.95, rule: "subset", generator: new Generator(2) } as const;
    const counts = Array.from({ length: 60 }, () =>
      addBranch(zeros([B, 1, 1]), dropPath, (images) => images.add(1)).toNumbers(),
    ).map((values) => values.filter((value) => value > 0).length);
    expect(new Set(counts).size).toBeGreaterThan(1);
  });
});
