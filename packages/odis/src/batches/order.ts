import { ConfigError, Rng } from "../core/index.js";
import type { DataSource, EpochOrder } from "../data/index.js";

/** @throws ConfigError when a batch wants more images than there are */
export function checkBatch(images: number, size: number): void {
  if (images <= size) return;
  throw new ConfigError(
    `a batch of ${images} images is larger than the data set of ${size}; ` +
      `wanted a batch of at most ${size} (--batch, optim.batch)`,
  );
}

/** One of the processes that share every batch. */
export interface Rank {
  /** from 0 */
  readonly rank: number;
  /** number of processes; divides the batch */
  readonly size: number;
}

/**
 * Which images a step uses: a new random order in each epoch, the rest of an epoch dropped. Each
 * process takes consecutive images of the step's batch, so that together they take what one would,
 * whatever their number.
 */
export class Order {
  private epoch = -1;
  private order: EpochOrder = { at: () => 0 };

  constructor(
    private readonly seed: number,
    private readonly source: Pick<DataSource, "size" | "order">,
    /** images of a step, of all processes */
    private readonly batch: number,
    private readonly place: Rank = { rank: 0, size: 1 },
  ) {}

  get stepsPerEpoch(): number {
    return Math.floor(this.source.size / this.batch);
  }

  /** @returns the epoch, the position of this process's first image in its order, and the indices */
  step(step: number): { epoch: number; position: number; indices: Int32Array } {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (epoch !== this.epoch) {
      const { order, size } = this.source;
      this.order = order?.(this.seed, epoch) ?? shuffled(this.seed, epoch, size);
      this.epoch = epoch;
    }
    const { order, batch, place } = this;
    const own = batch / place.size;
    const position = (step % this.stepsPerEpoch) * batch + place.rank * own;
    const indices = Int32Array.from({ length: own }, (_, at) => order.at(position + at));
    return { epoch, position, indices };
  }
}

function shuffled(seed: number, epoch: number, size: number): EpochOrder {
  const order = new Rng("order", seed, epoch).permutation(size);
  return { at: (position) => order[position]! };
}
