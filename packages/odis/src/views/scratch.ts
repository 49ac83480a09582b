/**
 * Working memory that is kept between calls: a worker makes thousands of views, and fresh
 * buffers of this size would cost page faults each time. Contents are left over from before.
 */
export class Scratch<T extends Uint8Array | Int32Array> {
  private buffer: T;

  constructor(private readonly create: (length: number) => T) {
    this.buffer = create(0);
  }

  /** At least `length` elements, valid until the next call. */
  take(length: number): T {
    if (this.buffer.length < length) this.buffer = this.create(length);
    return this.buffer;
  }
}
