import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type HostTensor, readSafetensors } from "@odis/torch";
import { afterAll, type RunnerTask } from "vitest";

/**
 * Where the golden data lie. `GOLDEN_REFERENCE=folder` runs the same tests on other groups, made of
 * other seeds, sizes and options: every size comes from the group's own JSON. What that folder lacks
 * is taken from here.
 */
const folders = [
  ...(process.env["GOLDEN_REFERENCE"] === undefined ? [] : [process.env["GOLDEN_REFERENCE"]]),
  new URL("reference", import.meta.url).pathname,
];

/**
 * Numbers that the published Python code produced: one group is a JSON with the configuration and a
 * safetensors file with the arrays.
 */
export class Golden<Info = unknown> {
  private readonly read = new Set<string>();

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

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  floats(name: string): Float32Array {
    const { data } = this.use(name);
    return data instanceof Float32Array ? data : this.wrong(name);
  }

  uint8(name: string): Uint8Array {
    const { data } = this.use(name);
    return data instanceof Uint8Array ? data : this.wrong(name);
  }

  /** int64 tensors; every value in the reference is small enough for a number. */
  integers(name: string): number[] {
    const { data } = this.use(name);
    return data instanceof BigInt64Array ? Array.from(data, Number) : this.wrong(name);
  }

  /**
   * Says of tensors that nobody will compare them.
   *
   * @param why for readers of the test
   */
  leave(names: RegExp, why: string): this {
    if (why === "") throw new Error(`${this.group}: why is ${String(names)} left?`);
    for (const name of this.names()) if (names.test(name)) this.read.add(name);
    return this;
  }

  /** Tensors that nobody has looked at. */
  get unread(): readonly string[] {
    return this.names().filter((name) => !this.read.has(name));
  }

  private use(name: string): HostTensor {
    this.read.add(name);
    return this.tensor(name);
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

/** Names of the groups that begin so, e.g. `train-steps-`, of the first folder that has any. */
export function goldenGroups(prefix: string): readonly string[] {
  const found = folders.map((folder) =>
    readdirSync(folder)
      .filter((name) => name.startsWith(prefix) && name.endsWith(".json"))
      .map((name) => name.slice(0, -".json".length))
      .toSorted(),
  );
  return found.find((names) => names.length > 0) ?? [];
}

/**
 * Opens a group. When all tests of the file, or of the `describe` it is opened in, have run, every
 * tensor of it must have been read.
 *
 * @param group file name without ending, e.g. `augment`
 * @param part beginning of the names of tensors that this test answers for, where others have the rest
 */
export function golden<Info = unknown>(group: string, part = ""): Golden<Info> {
  const folder = folders.find((one) => existsSync(join(one, `${group}.json`)));
  if (folder === undefined) throw new Error(`no golden data ${group} in ${folders.join(" or ")}`);
  const base = join(folder, group);
  const info: Info = JSON.parse(readFileSync(`${base}.json`, "utf8"));
  const all = [...readSafetensors(`${base}.safetensors`)];
  const reference = new Golden(group, info, new Map(all.filter(([name]) => name.startsWith(part))));
  // oxlint-disable-next-line no-empty-pattern -- vitest looks for names of fixtures in this place
  afterAll(({}, suite) => {
    const { unread } = reference;
    // A filter on names of tests, or a failure, leaves tensors unread and says so itself.
    if (unread.length === 0 || !suite.tasks.every(passed)) return;
    throw new Error(
      `${group}: ${unread.length} tensors of the reference were compared with nothing: ${unread.slice(0, 8).join(", ")}`,
    );
  });
  return reference;
}

function passed(task: RunnerTask): boolean {
  return "tasks" in task ? task.tasks.every(passed) : task.result?.state === "pass";
}

export { expectClose } from "./close.js";

/** Index of the first element that differs, -1 when all are equal: quick where `toEqual` is slow. */
export function firstDifference(got: ArrayLike<number>, wanted: ArrayLike<number>): number {
  for (let i = 0; i < Math.max(got.length, wanted.length); i += 1) {
    if (got[i] !== wanted[i]) return i;
  }
  return -1;
}
