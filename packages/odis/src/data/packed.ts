/**
 * Lists that worker threads share instead of copying: each lives on a SharedArrayBuffer, which
 * structured cloning passes by reference.
 */

/** Typed arrays that a packed list may be. */
type Numbers = Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array;

/** A list that grows at its end, without an object for each number. */
export class Growing<T extends Numbers> {
  length = 0;
  private room: T;

  constructor(private readonly kind: new (buffer: number | SharedArrayBuffer) => T) {
    this.room = new kind(1024);
  }

  push(value: number): void {
    this.reserve(1);
    this.room[this.length] = value;
    this.length += 1;
  }

  append(values: ArrayLike<number>): void {
    this.reserve(values.length);
    this.room.set(values, this.length);
    this.length += values.length;
  }

  at(index: number): number {
    return this.room[index]!;
  }

  put(index: number, value: number): void {
    this.room[index] = value;
  }

  /** What there is so far; valid until the next push. */
  view(): T {
    return this.room.subarray(0, this.length) as T;
  }

  shared(): T {
    const { BYTES_PER_ELEMENT } = this.room;
    const packed = new this.kind(new SharedArrayBuffer(BYTES_PER_ELEMENT * this.length));
    packed.set(this.view());
    return packed;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.room.length) return;
    const larger = new this.kind(Math.max(2 * this.room.length, this.length + more));
    larger.set(this.view());
    this.room = larger;
  }
}

/** Strings, one after the other; string i ends where i + 1 begins. */
export interface PackedStrings {
  readonly bytes: Uint8Array;
  readonly ends: Float64Array;
}

export class GrowingStrings {
  private readonly bytes = new Growing(Uint8Array);
  private readonly ends = new Growing(Float64Array);

  get length(): number {
    return this.ends.length;
  }

  push(text: string): void {
    this.bytes.append(Buffer.from(text));
    this.ends.push(this.bytes.length);
  }

  shared(): PackedStrings {
    return { bytes: this.bytes.shared(), ends: this.ends.shared() };
  }
}

export function stringAt({ bytes, ends }: PackedStrings, index: number): string {
  return Buffer.from(bytes.slice(startOf(ends, index), ends[index])).toString();
}

/** Where piece `index` begins, if `ends[i]` is where piece i ends and the first begins at 0. */
export function startOf(ends: Int32Array | Float64Array, index: number): number {
  return index === 0 ? 0 : ends[index - 1]!;
}

/** Numbers stored as `values[i] / unit`. */
export interface PackedDecimals {
  readonly values: Int32Array | Float64Array;
  readonly unit: number;
}

/** Annotations mostly have two decimals: as whole hundredths they take half the room, exactly. */
export class GrowingDecimals {
  private hundredths: Growing<Int32Array> | undefined = new Growing(Int32Array);
  private exact: Growing<Float64Array> | undefined;

  get length(): number {
    return (this.hundredths ?? this.exact)!.length;
  }

  append(values: ArrayLike<number>): void {
    const { hundredths } = this;
    if (hundredths && isHundredths(values))
      for (let at = 0; at < values.length; at += 1) hundredths.push(Math.round(values[at]! * 100));
    else this.exactly().append(values);
  }

  shared(): PackedDecimals {
    return this.exact
      ? { values: this.exact.shared(), unit: 1 }
      : { values: this.hundredths!.shared(), unit: 100 };
  }

  private exactly(): Growing<Float64Array> {
    if (this.exact) return this.exact;
    this.exact = new Growing(Float64Array);
    for (const whole of this.hundredths!.view()) this.exact.push(whole / 100);
    this.hundredths = undefined;
    return this.exact;
  }
}

function isHundredths(values: ArrayLike<number>): boolean {
  for (let at = 0; at < values.length; at += 1) {
    const whole = Math.round(values[at]! * 100);
    if (whole / 100 !== values[at] || Math.abs(whole) >= 2 ** 31) return false;
  }
  return true;
}
