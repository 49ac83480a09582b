/**
 * Lists that worker threads share instead of copying: each lives on a SharedArrayBuffer, which
 * structured cloning passes by reference.
 */

/** Strings, one after the other; string i ends where i + 1 begins. */
export interface PackedStrings {
  readonly bytes: Uint8Array;
  readonly ends: Int32Array;
}

export function packStrings(strings: readonly string[]): PackedStrings {
  const parts = strings.map((text) => Buffer.from(text));
  let end = 0;
  const ends = packInts(parts.map((part) => (end += part.length)));
  const bytes = new Uint8Array(new SharedArrayBuffer(end));
  for (const [index, part] of parts.entries()) bytes.set(part, ends[index]! - part.length);
  return { bytes, ends };
}

export function stringAt({ bytes, ends }: PackedStrings, index: number): string {
  return Buffer.from(bytes.slice(startOf(ends, index), ends[index])).toString();
}

/** Where piece `index` begins, if `ends[i]` is where piece i ends and the first begins at 0. */
export function startOf(ends: Int32Array, index: number): number {
  return index === 0 ? 0 : ends[index - 1]!;
}

export function packInts(values: readonly number[]): Int32Array {
  const packed = new Int32Array(new SharedArrayBuffer(4 * values.length));
  packed.set(values);
  return packed;
}

export function packDoubles(values: readonly number[]): Float64Array {
  const packed = new Float64Array(new SharedArrayBuffer(8 * values.length));
  packed.set(values);
  return packed;
}

/** Numbers stored as `values[i] / unit`. */
export interface PackedDecimals {
  readonly values: Int32Array | Float64Array;
  readonly unit: number;
}

/** Annotations mostly have two decimals: as whole hundredths they take half the room, exactly. */
export function packDecimals(values: readonly number[]): PackedDecimals {
  const hundredths = values.map((value) => Math.round(value * 100));
  const exact = hundredths.every(
    (whole, index) => whole / 100 === values[index] && Math.abs(whole) < 2 ** 31,
  );
  return exact
    ? { values: packInts(hundredths), unit: 100 }
    : { values: packDoubles(values), unit: 1 };
}
