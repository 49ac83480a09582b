import { Rng } from "../core/index.js";
import type { EpochOrder } from "./dataset.js";
import { Growing } from "./packed.js";
import { BLOCK } from "./tar.js";

/**
 * Where the samples of a data set lie inside of tar files: four bytes each, since members of a sample
 * lie side by side and begin at multiples of 512 bytes.
 */
export interface Archives {
  readonly size: number;
  /** relative to the index's root */
  readonly paths: readonly string[];
  /** samples in the archives up to and including each */
  readonly ends: Float64Array;
  /** by sample: where its first header begins, blocks */
  readonly starts: Uint32Array;
  /** by archive: where its last member ends, blocks */
  readonly lasts: Float64Array;
}

/** Collects archives one by one. */
export class ArchiveBuilder {
  private readonly paths: string[] = [];
  private readonly ends = new Growing(Float64Array);
  private readonly starts = new Growing(Uint32Array);
  private readonly lasts = new Growing(Float64Array);

  /** @param start first byte of a sample's first header */
  sample(start: number): void {
    this.starts.push(start / BLOCK);
  }

  /** Ends the archive whose samples were added last. @param end byte after its last member */
  archive(path: string, end: number): void {
    this.paths.push(path);
    this.ends.push(this.starts.length);
    this.lasts.push(Math.ceil(end / BLOCK));
  }

  finish(): Archives {
    return {
      size: this.starts.length,
      paths: this.paths,
      ends: this.ends.shared(),
      starts: this.starts.shared(),
      lasts: this.lasts.shared(),
    };
  }
}

/** Where a sample lies. */
export interface Location {
  readonly path: string;
  /** its number in the archive */
  readonly place: number;
  readonly from: number;
  readonly length: number;
}

export function locate(archives: Archives, sample: number): Location {
  const { paths, ends, starts, lasts } = archives;
  const archive = firstAbove(ends, sample);
  const first = archive === 0 ? 0 : ends[archive - 1]!;
  const isLast = sample + 1 === ends[archive];
  const from = BLOCK * starts[sample]!;
  const end = BLOCK * (isLast ? lasts[archive]! : starts[sample + 1]!);
  return { path: paths[archive]!, place: sample - first, from, length: end - from };
}

/** The first of ascending numbers that is above a value. */
function firstAbove(ascending: Float64Array, value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (ascending[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Archives that are mixed with one another: a batch comes from so many at once. */
const TOGETHER = 8;

/**
 * The order of an epoch over archives. A permutation of all images would jump from archive to archive;
 * here a few archives, drawn by the seed, are shuffled together, then the next few, so that a disk
 * or a network drive reads what is near. Memory is that of those few, and image and position follow from
 * one another without a state: any worker and any resumed run finds the same place.
 */
export function archiveOrder({ ends }: Archives, seed: number, epoch: number): EpochOrder {
  const order = new Rng("archives", seed, epoch).permutation(ends.length);
  const sizeOf = (archive: number) => ends[archive]! - (archive === 0 ? 0 : ends[archive - 1]!);
  const groups: Int32Array[] = [];
  for (let at = 0; at < order.length; at += TOGETHER)
    groups.push(order.subarray(at, at + TOGETHER));
  const groupEnds = new Float64Array(groups.length);
  for (const [group, archives] of groups.entries())
    groupEnds[group] =
      archives.reduce((sum, archive) => sum + sizeOf(archive), 0) + (groupEnds[group - 1] ?? 0);

  let mixed: { readonly group: number; readonly samples: Float64Array } | undefined;
  const mix = (group: number): Float64Array => {
    if (mixed?.group === group) return mixed.samples;
    const before = group === 0 ? 0 : groupEnds[group - 1]!;
    const samples = new Float64Array(groupEnds[group]! - before);
    let to = 0;
    for (const archive of groups[group]!)
      for (let sample = ends[archive]! - sizeOf(archive); sample < ends[archive]!; sample += 1) {
        samples[to] = sample;
        to += 1;
      }
    new Rng("archive samples", seed, epoch, group).shuffle(samples);
    mixed = { group, samples };
    return samples;
  };
  return {
    at(position) {
      const group = firstAbove(groupEnds, position);
      return mix(group)[position - (group === 0 ? 0 : groupEnds[group - 1]!)]!;
    },
  };
}
