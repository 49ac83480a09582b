import { cat, eye, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { rollup } from "d3-array";
import { Rng } from "../core/index.js";
import { unitRows } from "../evaluate/index.js";

/** Less than half of one class is no name for all. */
export const isNamed = ({ name }: Pick<Cluster, "name">): boolean =>
  name !== undefined && name.share >= 0.5;

/** Rows that are alike. */
export interface Cluster {
  /** places among the vectors that were given, those nearest to the centre first */
  readonly members: readonly number[];
  /** the class that most of its labelled members have, and the share of these that have it */
  readonly name: { readonly class: string; readonly share: number } | undefined;
}

export interface Clusters {
  /** the largest first */
  readonly clusters: readonly Cluster[];
  /** mean cosine of a row with the centre of its cluster */
  readonly similarity: number;
}

/** Times that it begins anew, and rounds at most. */
const [STARTS, ROUNDS] = [4, 100];

/** As many as suits so many rows: enough to tell kinds apart, few enough to be looked at. */
export const suitedCount = (rows: number): number =>
  Math.max(1, Math.min(24, Math.round(Math.sqrt(rows / 2))));

/**
 * Spherical k-means (Dhillon and Modha 2001): rows of length 1, centres of length 1, likeness by cosine;
 * begun by k-means++ several times, the best is kept. The same vectors give the same clusters.
 *
 * Takes memory for n rows twice and for some [n, count] tables beside them, float32.
 *
 * @param vectors [n, width], of any length
 * @param count how many, from 1; fewer where rows are equal
 * @param classOf of a place among the vectors
 */
export function clustersOf(
  vectors: Float32Array,
  width: number,
  count: number,
  classOf: (place: number) => string | undefined = () => undefined,
): Clusters {
  const n = vectors.length / width;
  if (n === 0) return { clusters: [], similarity: 0 };
  const rows = unitRows(vectors, width);
  try {
    const tries = Array.from({ length: STARTS }, (_, start) =>
      settled(rows, Math.min(count, n), new Rng("clusters", start)),
    );
    const best = tries.reduce((a, b) => (b.similarity > a.similarity ? b : a));
    return { ...best, clusters: grouped(best, classOf) };
  } finally {
    rows.free();
  }
}

/** Which cluster each row is of, and how like it is to the centre. */
interface Settled {
  /** [n] */
  readonly of: Int32Array;
  readonly cosines: Float32Array;
  readonly similarity: number;
}

function settled(rows: Tensor, count: number, rng: Rng): Settled {
  return noGrad(() =>
    tidy(() => {
      const first = firstCentres(rows, count, rng);
      const [begun] = first.dims(2); // fewer where rows are equal
      let now = assigned(rows, first);
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = now;
        // A round's [n, K] tensors must not wait for the last one.
        now = tidy(() => assigned(rows, centresOf(rows, before, begun)));
        if (now.of.every((one, row) => one === before.of[row])) break;
      }
      return now;
    }),
  );
}

/** Rows drawn one by one, the likelier the farther from those drawn (Arthur and Vassilvitskii 2007). */
function firstCentres(rows: Tensor, count: number, rng: Rng): Tensor {
  const [n] = rows.dims(2);
  const chosen = [rng.int(0, n - 1)];
  let distances: Float64Array | undefined;
  while (chosen.length < count) {
    const last = rows.narrow(0, chosen.at(-1)!, 1);
    const cosines = tidy(() => rows.matmul(last.transpose(0, 1)).toFloat32());
    const known = distances;
    distances = Float64Array.from(cosines, (cosine, row) =>
      Math.min(known?.[row] ?? Infinity, Math.max(0, 1 - cosine - 1e-6)),
    );
    if (distances.every((distance) => distance === 0)) break; // all others are equal to one of these
    chosen.push(rng.weighted(Array.from(distances)));
  }
  return cat(
    chosen.map((row) => rows.narrow(0, row, 1)),
    0,
  );
}

function assigned(rows: Tensor, centres: Tensor): Settled {
  return tidy(() => {
    const cosines = rows.matmul(centres.transpose(0, 1)); // [n, K]
    const of = Int32Array.from(cosines.argmax(1).toNumbers());
    const best = cosines.amax(1).toFloat32();
    return { of, cosines: best, similarity: best.reduce((sum, one) => sum + one, 0) / best.length };
  });
}

/**
 * The directions of the clusters' sums; a cluster that has lost its rows begins at the row that fits worst.
 *
 * @param count of clusters, those that have lost their rows, too
 */
export function centresOf(
  rows: Tensor,
  { of, cosines }: Pick<Settled, "of" | "cosines">,
  count: number,
): Tensor {
  const [n, width] = rows.dims(2);
  const used = [...new Set(of)].toSorted((a, b) => a - b);
  const places = new Map(used.map((one, place) => [one, place]));
  const at = BigInt64Array.from(of, (one) => BigInt(places.get(one)!));
  const members = eye(used.length).indexSelect(0, fromBuffer(at, [n])); // [n, K]
  const sums = members.transpose(0, 1).matmul(rows);
  const centres = sums.div(sums.norm(-1, 2, true).clampMin(1e-12));
  const lost = count - used.length;
  if (lost === 0) return centres;
  const worst = [...cosines.keys()].toSorted((a, b) => cosines[a]! - cosines[b]!).slice(0, lost);
  return cat([centres, ...worst.map((row) => rows.narrow(0, row, 1).reshape([1, width]))], 0);
}

function grouped(
  { of, cosines }: Settled,
  classOf: (place: number) => string | undefined,
): readonly Cluster[] {
  const groups = rollup(
    of.keys(),
    (places) => places.toSorted((a, b) => cosines[b]! - cosines[a]!),
    (place) => of[place]!,
  );
  return [...groups.values()]
    .map((members) => ({ members, name: nameOf(members.map(classOf)) }))
    .toSorted((a, b) => b.members.length - a.members.length || a.members[0]! - b.members[0]!);
}

function nameOf(classes: readonly (string | undefined)[]): Cluster["name"] {
  const labelled = classes.filter((name) => name !== undefined);
  const counts = rollup(
    labelled,
    (all) => all.length,
    (name) => name,
  );
  const most = [...counts].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0];
  return most && { class: most[0], share: most[1] / labelled.length };
}
