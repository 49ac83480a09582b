import { mean, median, rollup } from "d3-array";
import type { Nearest } from "./nearest.js";

/** A row that is far from all others. */
export interface Outlier {
  readonly row: number;
  /** mean distance to its nearest neighbours, 1 - cosine: 0..2 */
  readonly distance: number;
  /** the same as a multiple of the median row's */
  readonly times: number;
}

/**
 * Rows by how far they are from their nearest neighbours, the farthest first (k-NN outlier score; the
 * mean over neighbours is Angiulli and Pizzuti 2002).
 */
export function outliersIn({ asked, k, similarities }: Nearest): readonly Outlier[] {
  if (k === 0) return [];
  const distances = asked.map((_, at) => 1 - mean(similarities.subarray(at * k, (at + 1) * k))!);
  const common = Math.max(1e-12, median(distances) ?? 0);
  return asked
    .map((row, at) => ({ row, distance: distances[at]!, times: distances[at]! / common }))
    .toSorted((a, b) => b.distance - a.distance || a.row - b.row);
}

/** A labelled row whose neighbours are of another class. */
export interface Doubt {
  readonly row: number;
  readonly class: string;
  /** what its neighbours are */
  readonly other: string;
  /** share of its neighbours that are of that class, 0..1 */
  readonly share: number;
}

/** Of fewer neighbours one alone would decide. */
const FEWEST = 5;
/** Where so many of the neighbours say another class, a label is doubted. */
const MOST = 0.8;

/**
 * Labels that nearly all neighbours contradict, the most contradicted first; none of rows with fewer than
 * five neighbours. A neighbour without a class contradicts nothing: it counts among all of them, and for
 * no class.
 *
 * @param classOf of a row of the store
 */
export function doubtsIn(
  { asked, k, rows, similarities }: Nearest,
  classOf: (row: number) => string | undefined,
): readonly Doubt[] {
  if (k < FEWEST) return [];
  const found = asked.flatMap((row, at) => {
    const own = classOf(row);
    if (own === undefined) return [];
    const around = Array.from(rows.subarray(at * k, (at + 1) * k), classOf);
    const votes = rollup(
      around.filter((name) => name !== undefined),
      (all) => all.length,
      (name) => name,
    );
    const [other, count] = [...votes].toSorted((a, b) => b[1] - a[1])[0] ?? [own, 0];
    const share = count / k;
    if (other === own || share < MOST) return [];
    return [{ row, class: own, other, share, nearest: similarities[at * k]! }];
  });
  return found
    .toSorted((a, b) => b.share - a.share || b.nearest - a.nearest || a.row - b.row)
    .map(({ row, class: own, other, share }) => ({ row, class: own, other, share }));
}
