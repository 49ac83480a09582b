import { readFileSync } from "node:fs";

/**
 * Numbers that the published Python code produced (`test/reference`): one group is a JSON with
 * the configuration and a safetensors file with the arrays.
 */
export class Golden<Info> {
  private readonly entries: Readonly<Record<string, Entry>>;
  private readonly bytes: Buffer;

  constructor(
    readonly group: string,
    /** The group's JSON; its shape differs per group, so the test states what it expects. */
    readonly info: Info,
    file: Buffer,
  ) {
    const headerBytes = Number(file.readBigUInt64LE(0));
    const { __metadata__: _, ...entries } = JSON.parse(file.toString("utf8", 8, 8 + headerBytes));
    this.entries = entries;
    this.bytes = file.subarray(8 + headerBytes);
  }

  /** All tensor names, or those below a prefix. */
  names(prefix = ""): readonly string[] {
    return Object.keys(this.entries).filter((n) => n.startsWith(prefix));
  }

  shape(name: string): readonly number[] {
    return this.entry(name).shape;
  }

  floats(name: string): Float32Array {
    return new Float32Array(this.read(name, "F32"));
  }

  uint8(name: string): Uint8Array {
    return new Uint8Array(this.read(name, "U8"));
  }

  /** int64 tensors; every value in the reference is small enough for a number. */
  integers(name: string): number[] {
    return Array.from(new BigInt64Array(this.read(name, "I64")), Number);
  }

  private read(name: string, dtype: Entry["dtype"]): ArrayBuffer {
    const entry = this.entry(name);
    if (entry.dtype !== dtype) throw new Error(`${this.group}: ${name} is ${entry.dtype}`);
    const [begin, end] = entry.data_offsets;
    return Uint8Array.from(this.bytes.subarray(begin, end)).buffer; // a copy, so aligned
  }

  private entry(name: string): Entry {
    const entry = this.entries[name];
    if (!entry) throw new Error(`${this.group}: no tensor ${name}`);
    return entry;
  }
}

interface Entry {
  readonly dtype: "F32" | "I64" | "U8";
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** @param group file name without ending, e.g. `augment` */
export function golden<Info = unknown>(group: string): Golden<Info> {
  const base = new URL(`reference/${group}`, import.meta.url);
  const info: Info = JSON.parse(readFileSync(`${base.pathname}.json`, "utf8"));
  return new Golden(group, info, readFileSync(`${base.pathname}.safetensors`));
}

export { expectClose } from "./close.js";

/** Index of the first element that differs, -1 when all are equal: quick where `toEqual` is slow. */
export function firstDifference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  for (let i = 0; i < Math.max(got.length, wanted.length); i += 1) {
    if (got[i] !== wanted[i]) return i;
  }
  return -1;
}
