import { counted, DataError, grouped, Rng } from "../core/index.js";
import { Growing } from "./packed.js";
import { pictureGroups } from "./picture.js";
import type { DataSource, DataSpec, OpenSource } from "./dataset.js";

/** Images of another data set, in the order of this one; some may stand several times. */
export type Picks = Int32Array;

/** Up to so many images their files are compared, so that copies of a picture stay on one side. */
const COMPARED = 10_000;

/** Times that an image of a rare class is repeated at most. */
const MOST_REPEATS = 1000;

/**
 * What the settings `take`, `limit` and `balance` choose, in this order.
 *
 * @returns undefined when they choose everything
 * @throws DataError when nothing is left
 */
export async function pickImages(source: OpenSource, spec: DataSpec): Promise<Picks | undefined> {
  const {
    take,
    limit,
    balance,
    seed = 0,
  } = spec as {
    readonly take?: readonly [number, number];
    readonly limit?: number;
    readonly balance?: number;
    readonly seed?: number;
  };
  if (take === undefined && limit === undefined && balance === undefined) return undefined;
  let picks = take ? await share(source, take, seed) : indices(source.size);
  if (limit !== undefined) picks = picks.subarray(0, limit);
  if (balance !== undefined) picks = balanced(source, picks, balance, seed);
  if (picks.length === 0)
    throw new DataError(`take, limit and balance leave none of ${grouped(source.size)} images`);
  const shared = new Int32Array(new SharedArrayBuffer(4 * picks.length));
  shared.set(picks);
  return shared;
}

/** The data set of which a spec takes a part. */
export function unpicked({
  take: _take,
  limit: _limit,
  balance: _balance,
  seed: _seed,
  ...whole
}: DataSpec): DataSpec {
  return whole;
}

const indices = (size: number) => Int32Array.from({ length: size }, (_, index) => index);

/** Images between two shares of an order drawn by the seed, in the order of the data set. */
async function share(
  source: OpenSource,
  [from, to]: readonly [number, number],
  seed: number,
): Promise<Int32Array> {
  const byFile = source.size <= COMPARED ? await pictureGroups(source) : groupsByKey(source);
  const pictures = byFile.reduce((most, group) => Math.max(most, group), -1) + 1;
  const order = new Rng("take", seed).permutation(pictures);
  const chosen = new Uint8Array(pictures);
  for (let at = Math.round(from * pictures); at < Math.round(to * pictures); at += 1)
    chosen[order[at]!] = 1;
  return indices(source.size).filter((image) => chosen[byFile[image]!]);
}

function groupsByKey(source: DataSource): Int32Array {
  const known = new Map<string, number>();
  return indices(source.size).map((image) => {
    const key = source.key(image);
    const group = known.get(key) ?? known.size;
    known.set(key, group);
    return group;
  });
}

/**
 * Repeats images by the class of theirs that is rarest: one that f of the images show is repeated
 * until about `share` do. A fraction of a repetition is drawn.
 */
function balanced(source: OpenSource, picks: Int32Array, share: number, seed: number): Int32Array {
  const { listed } = source;
  if (!listed)
    throw new DataError(
      "balance: this kind of data tells the classes of an image only when it is read",
    );
  const showing = new Int32Array(source.classes.length);
  const classesOf = (image: number) =>
    new Set(listed(image).flatMap(({ label }) => (label >= 0 ? [label] : [])));
  for (const image of picks) for (const label of classesOf(image)) showing[label]! += 1;
  const rng = new Rng("balance", seed);
  const repeated = new Growing(Int32Array);
  for (const image of picks) {
    let rarest = Infinity;
    for (const label of classesOf(image)) rarest = Math.min(rarest, showing[label]!);
    const wanted = Math.min(MOST_REPEATS, Math.max(1, (share * picks.length) / rarest));
    const repeats = Math.floor(wanted) + Number(rng.bool(wanted % 1));
    for (let time = 0; time < repeats; time += 1) repeated.push(image);
  }
  return repeated.view();
}

/** Some images of a source, as a source. */
export function openPicked(source: OpenSource, picks: Picks): OpenSource {
  const { picture, file, listed } = source;
  const objects = listed && ((index: number) => listed(picks[index]!));
  return {
    spec: { kind: "picked", of: source.spec, picks },
    size: picks.length,
    classes: source.classes,
    key: (index) => source.key(picks[index]!),
    read: (index, memory) => source.read(picks[index]!, memory),
    ...(picture ? { picture: (index: number) => picture(picks[index]!) } : {}),
    ...(file ? { file: (index: number) => file(picks[index]!) } : {}),
    ...(objects ? { listed: objects } : {}),
    summary: `${source.summary}; ${counted(picks.length, "image is", "images are")} taken`,
    notes: source.notes,
  };
}
