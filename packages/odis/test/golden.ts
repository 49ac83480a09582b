import { readFileSync } from "node:fs";
import { type HostTensor, readSafetensors } from "@odis/torch";

/**
 * Numbers that the published Python code produced (`test/reference`): one group is a JSON with
 * the configuration and a safetensors file with the arrays.
 */
export class Golden<Info = unknown> {
  constructor(
    readonly group: string,
    /** The group's JSON; its shape differs per group, so the test states what it expects. */
    readonly info: Info,
    private readonly tensors: ReadonlyMap<string, HostTensor>,
  ) {}

  /** All tensor names, or those below a prefix. */
  names(prefix = ""): readonly string[] {
    return [...this.tensors.keys()].filter((name) => name.startsWith(prefix));
  }

  shape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  floats(name: string): Float32Array {
    const { data } = this.tensor(name);
    return data instanceof Float32Array ? data : this.wrong(name);
  }

  uint8(name: string): Uint8Array {
    const { data } = this.tensor(name);
    return data instanceof Uint8Array ? data : this.wrong(name);
  }

  /** int64 tensors; every value in the reference is small enough for a number. */
  integers(name: string): number[] {
    const { data } = this.tensor(name);
    return data instanceof BigInt64Array ? Array.from(data, Number) : this.wrong(name);
  }

  private wrong(name: string): never {
    throw new Error(`${this.group}: ${name} is ${this.tensor(name).dtype}`);
  }

  private tensor(name: string): HostTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`${this.group}: no tensor ${name}`);
    return tensor;
  }
}

/** @param group file name without ending, e.g. `augment` */
export function golden<Info = unknown>(group: string): Golden<Info> {
  const base = new URL(`reference/${group}`, import.meta.url).pathname;
  const info: Info = JSON.parse(readFileSync(`${base}.json`, "utf8"));
  return new Golden(group, info, readSafetensors(`${base}.safetensors`));
}

export { expectClose } from "./close.js";

/** Index of the first element that differs, -1 when all are equal: quick where `toEqual` is slow. */
export function firstDifference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  for (let i = 0; i < Math.max(got.length, wanted.length); i += 1) {
    if (got[i] !== wanted[i]) return i;
  }
  return -1;
}
