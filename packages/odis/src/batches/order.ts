import { ConfigError, Rng } from "../core/index.js";

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
  private order: Int32Array = new Int32Array();

  constructor(
    private readonly seed: number,
    private readonly size: number,
    private readonly batch: number,
  ) {}

  get stepsPerEpoch(): number {
    return Math.floor(this.size / this.batch);
  }

  /** @returns the epoch, the position of the step's first image in its order, and the indices */
  step(step: number): { epoch: number; position: number; indices: Int32Array } {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (epoch !== this.epoch) {
      this.order = new Rng("order", this.seed, epoch).permutation(this.size);
      this.epoch = epoch;
    }
    const position = (step % this.stepsPerEpoch) * this.batch;
    return { epoch, position, indices: this.order.slice(position, position + this.batch) };
  }
}
