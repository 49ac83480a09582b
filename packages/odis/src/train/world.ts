import { setTimeout as sleep } from "node:timers/promises";
import {
  cat,
  empty,
  fromBuffer,
  GradientBuckets,
  type ProcessGroup,
  type Tensor,
  tidy,
} from "@odis/torch";

/** While it waits for data, a process tells the others this often that it is alive, ms. */
const ROUND = 5000;

/**
 * The processes that train together. What they must agree on is said here and nowhere else; alone, a
 * process sends nothing and nothing is copied. All processes make the same calls in the same order.
 */
export class World implements Disposable {
  /** One process. */
  static readonly alone: World = new World(undefined, "cpu");

  /** @param device where collectives take their tensors */
  constructor(
    private readonly group: ProcessGroup | undefined,
    private readonly device: string,
  ) {}

  /** this process among them, from 0; the first writes files */
  get rank(): number {
    return this.group?.rank ?? 0;
  }

  get size(): number {
    return this.group?.size ?? 1;
  }

  /** Messages that this process has sent so far, and their bytes. */
  get traffic(): { readonly messages: number; readonly bytes: number } {
    return this.group?.traffic ?? { messages: 0, bytes: 0 };
  }

  /**
   * What every process says, in the order of ranks: numbers, as many from each. Waits for all of them.
   */
  share(mine: readonly number[]): readonly (readonly number[])[] {
    const { group, size } = this;
    if (!group) return [mine];
    return tidy(() => {
      const part = fromBuffer(Float64Array.from(mine), [1, mine.length], { device: this.device });
      const all = this.gather(part).toNumbers();
      return Array.from({ length: size }, (_, rank) =>
        all.slice(rank * mine.length, (rank + 1) * mine.length),
      );
    });
  }

  /** The same for texts of any length. */
  shareText(mine: string): readonly string[] {
    if (!this.group) return [mine];
    const bytes = [...Buffer.from(mine)];
    const longest = Math.max(...this.share([bytes.length]).map(([length]) => length!));
    const padded = [...bytes, ...Array.from({ length: longest - bytes.length }, () => -1)];
    return this.share(padded).map((all) => Buffer.from(all.filter((byte) => byte >= 0)).toString());
  }

  /** Replaces the tensors by their sums over all processes, in place. */
  sum(tensors: readonly Tensor[]): void {
    if (tensors.length > 0) this.group?.allReduce(tensors);
  }

  /** Sums over all processes by name, in one message of float64. */
  sums(named: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>> {
    const entries = Object.entries(named);
    if (!this.group || entries.length === 0) return named;
    const flat = cat(entries.map(([, tensor]) => tensor.flatten().double()));
    this.sum([flat]);
    let from = 0;
    return Object.fromEntries(
      entries.map(([name, { size, shape, dtype }]) => {
        from += size;
        return [
          name,
          flat
            .narrow(0, from - size, size)
            .reshape(shape)
            .to({ dtype }),
        ];
      }),
    );
  }

  /** Rows of all processes, [n, ...] of each, in the order of ranks: [N * n, ...]. */
  gather(rows: Tensor): Tensor {
    if (!this.group) return rows;
    const [n, ...rest] = rows.shape;
    const { dtype, device } = rows;
    const whole = empty([this.size * n!, ...rest], { dtype, device });
    this.group.startAllGatherInto(whole, rows.contiguous()).wait();
    return whole;
  }

  /** Overwrites the tensors by those of one process. */
  broadcast(tensors: readonly Tensor[], rank: number): void {
    if (tensors.length > 0) this.group?.broadcast(tensors, rank);
  }

  /** Sums gradients over all processes while backward goes on; undefined alone. */
  buckets(weights: readonly Tensor[]): GradientBuckets | undefined {
    return this.group && new GradientBuckets(this.group, weights, { by: "sum" });
  }

  /**
   * Waits until every process has its own. Somebody who is slow says so again and again, so that
   * the others can tell that from somebody who is gone.
   */
  async together<T>(own: Promise<T>): Promise<T> {
    if (!this.group) return own;
    for (;;) {
      const patience = new AbortController();
      const late = sleep(ROUND, false, { signal: patience.signal }).catch(() => false);
      const ready = await Promise.race([own.then(() => true), late]);
      patience.abort();
      if (this.share([Number(ready)]).every(([one]) => one === 1)) return own;
    }
  }

  [Symbol.dispose](): void {
    this.group?.[Symbol.dispose]();
  }
}
