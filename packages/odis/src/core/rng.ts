import { createHash } from "node:crypto";
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";

/**
 * A stream of random numbers that is named, not passed along: the same parts always give the same
 * stream, whichever thread asks and whatever was drawn before. This is what makes image `i` of
 * epoch `e` the same picture after a resume, or with another number of workers.
 */
export class Rng {
  private readonly generator;

  /** @param parts e.g. `("views", seed, epoch, position)`; order and type matter */
  constructor(...parts: readonly (string | number)[]) {
    // All 128 bits of state come from the hash: neighbouring seeds share nothing.
    const digest = createHash("sha256").update(JSON.stringify(parts)).digest();
    this.generator = xoroshiro128plusFromState([
      digest.readInt32LE(0),
      digest.readInt32LE(4),
      digest.readInt32LE(8),
      digest.readInt32LE(12) | 1, // an all-zero state would stay zero
    ]);
  }

  /** Uniform in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * uniformFloat64(this.generator);
  }

  /** Uniform integer in [low, high], both ends included. */
  int(low: number, high: number): number {
    return uniformInt(this.generator, low, high);
  }

  /** `true` with probability p. */
  bool(p = 0.5): boolean {
    return this.uniform() < p;
  }

  /** Standard normal (Box-Muller, one value per call). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Index drawn with probability proportional to its weight; -1 when every weight is 0. */
  weighted(weights: readonly number[]): number {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    if (!(total > 0)) return -1;
    let left = this.uniform() * total;
    let last = -1;
    for (const [index, weight] of weights.entries()) {
      if (weight <= 0) continue;
      last = index;
      left -= weight;
      if (left < 0) return index;
    }
    return last; // rounding may leave a sliver after the last weight
  }

  /** The numbers 0..n-1 in random order (Fisher-Yates). */
  permutation(n: number): Int32Array {
    const order = Int32Array.from({ length: n }, (_, index) => index);
    this.shuffle(order);
    return order;
  }

  /** Shuffles in place (Fisher-Yates). */
  shuffle(items: { [index: number]: unknown; readonly length: number }): void {
    for (let i = items.length - 1; i > 0; i -= 1) {
      const j = this.int(0, i);
      const kept = items[i];
      items[i] = items[j];
      items[j] = kept;
    }
  }
}
