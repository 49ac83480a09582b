import { readdirSync, readFileSync } from "node:fs";

/**
 * Bytes that a process has in memory now, or had at most, as Linux counts them.
 *
 * @param process default: this one
 */
export function residentBytes(
  process: number | "self" = "self",
  field: "VmRSS" | "VmHWM" = "VmRSS",
): number {
  const status = readFileSync(`/proc/${process}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(status)![1]) * 1024;
}

/** Seconds that a process and all below it have computed, on all cores, as Linux counts them: by hundredths. */
export function computedSeconds(process: number): number {
  const stats = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const [, rest = ""] = /^.*\) (.*)$/s.exec(readFileSync(`/proc/${name}/stat`, "utf8")) ?? [];
        const fields = rest.split(" ");
        const seconds = (Number(fields[11]) + Number(fields[12])) / 100;
        return [{ id: Number(name), parent: Number(fields[1]), seconds }];
      } catch {
        return []; // it has ended
      }
    });
  const sum = (id: number): number =>
    (stats.find((one) => one.id === id)?.seconds ?? 0) +
    stats.filter(({ parent }) => parent === id).reduce((all, one) => all + sum(one.id), 0);
  return sum(process);
}

/** Middle of the values; the mean of the two middle ones when their number is even. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new Error("internal: median of nothing");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Wall-clock seconds of one call. */
export function seconds(run: () => void): number {
  const began = performance.now();
  run();
  return (performance.now() - began) / 1000;
}

/** Seconds of each of `count` calls, after `warmup` calls that are not counted. */
export function repeat(run: () => void, count: number, warmup = 1): number[] {
  for (let i = 0; i < warmup; i += 1) run();
  return Array.from({ length: count }, () => seconds(run));
}

/**
 * Runs the contestants in turn (a, b, a, b, ...), so that whatever else the machine does meets all of
 * them alike, and returns each one's seconds in its own list.
 */
export function interleaved(
  contestants: readonly (() => void)[],
  rounds: number,
  warmup = 1,
): number[][] {
  for (let i = 0; i < warmup; i += 1) for (const run of contestants) run();
  const taken: number[][] = contestants.map(() => []);
  for (let round = 0; round < rounds; round += 1)
    for (const [index, run] of contestants.entries()) taken[index]!.push(seconds(run));
  return taken;
}
