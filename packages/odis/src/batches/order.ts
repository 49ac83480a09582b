import { ConfigError, Rng } from "../core/index.js";
import type { DataSource, EpochOrder } from "../data/index.js";

/** @throws ConfigError when a batch wants more images than there are */
export function checkBatch(images: number, size: number): void {
  if (images <= size) return;
  throw new ConfigError(
    `a batch of ${images} images is larger than the data set of ${size}; ` +
      `wanted a batch of at most ${size}`,
  );
}

/** Which images a step uses: a new random order in each epoch, the rest of an epoch dropped. */
export class Order {
  private epoch = -1;
  private order: EpochOrder = { at: () => 0 };

  constructor(
    private readonly seed: number,
    private readonly source: Pick<DataSource, "size" | "order">,
    private readonly batch: number,
  ) {}

  get stepsPerEpoch(): number {
    return Math.floor(this.source.size / this.batch);
  }

  /** @returns the epoch, the position of the step's first image in its order, and the indices */
  step(step: number): { epoch: number; position: number; indices: Int32Array } {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (epoch !== this.epoch) {
      const { order, size } = this.source;
      this.order = order?.(this.seed, epoch) ?? shuffled(this.seed, epoch, size);
      this.epoch = epoch;
    }
    const position = (step % this.stepsPerEpoch) * this.batch;
    const { order, batch } = this;
    const indices = Int32Array.from({ length: batch }, (_, at) => order.at(position + at));
    return { epoch, position, indices };
  }
}

function shuffled(seed: number, epoch: number, size: number): EpochOrder {
  const order = new Rng("order", seed, epoch).permutation(size);
  return { at: (position) => order[position]! };
}
