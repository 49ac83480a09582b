import type { ItemKind, Store } from "../search/index.js";
import { type Cluster, type Clusters, clustersOf, suitedCount } from "./clusters.js";
import { type Duplicates, duplicatesIn } from "./duplicates.js";
import { nearestTo, spreadRows, vectorsOf } from "./nearest.js";
import { type Doubt, doubtsIn, type Outlier, outliersIn } from "./outliers.js";

export interface InsightOptions {
  /** from which cosine on two images are nearly the same; default: by how near images commonly are */
  readonly duplicates?: number | undefined;
  /** default: as many as suits so many rows */
  readonly clusters?: number | undefined;
  /** rows that are looked at, of a larger store evenly spread ones; default 100,000 */
  readonly limit?: number | undefined;
}

/** What stands out in a store. */
export interface Insight {
  /** what outliers and clusters are of: objects, or images where there are none */
  readonly kind: ItemKind;
  /** how many were looked at */
  readonly looked: Readonly<Record<ItemKind, number>>;
  /** nearest ones that each of that kind was compared with; fewer than ten in a small store */
  readonly neighbours: number;
  /** of images */
  readonly duplicates: Duplicates;
  /** all rows that were looked at, the farthest first */
  readonly outliers: readonly Outlier[];
  /** empty where nothing is labelled, or fewer than five neighbours are there */
  readonly doubts: readonly Doubt[];
  /** members are rows of the store */
  readonly clusters: Clusters;
}

/** Neighbours that are looked at. */
const NEIGHBOURS = 10;
/** Every one is compared with all: the work grows with the square. */
const LIMIT = 100_000;

/**
 * Near-duplicates, outliers, doubtful labels and clusters of a store, by its vectors alone.
 *
 * Vectors of all rows that are looked at lie in memory, twice, and ten neighbours of each; those of the
 * others pass by in chunks.
 *
 * @param options duplicates: a cosine, -1..1; clusters and limit: from 1
 * @throws RunError when the store is damaged
 */
export function insightInto(
  store: Store,
  { duplicates: least, clusters: count, limit = LIMIT }: InsightOptions = {},
): Insight {
  const images = spreadRows(store, "images", limit);
  const kind = store.size("objects") > 0 ? "objects" : "images";
  const near = nearestTo(store, "images", images, NEIGHBOURS);
  const rows = kind === "images" ? images : spreadRows(store, kind, limit);
  const around = kind === "images" ? near : nearestTo(store, kind, rows, NEIGHBOURS);
  const classes =
    kind === "images" ? new Map<number, undefined>() : classesOf(store, [...rows, ...around.rows]);
  const classOf = (row: number): string | undefined => classes.get(row);
  const { clusters, similarity } = clustersOf(
    vectorsOf(store, kind, rows),
    store.model.width,
    count ?? suitedCount(rows.length),
    (place) => classOf(rows[place]!),
  );
  const inStore = (cluster: Cluster): Cluster => ({
    ...cluster,
    members: cluster.members.map((place) => rows[place]!),
  });
  return {
    kind,
    neighbours: around.k,
    looked: { images: images.length, objects: kind === "objects" ? rows.length : 0 },
    duplicates: duplicatesIn(near, least),
    outliers: outliersIn(around),
    doubts: doubtsIn(around, classOf),
    clusters: { clusters: clusters.map(inStore), similarity },
  };
}

/** Classes of objects. They are read in their order: a store keeps them in tables, a shard's each. */
function classesOf(store: Store, rows: readonly number[]): ReadonlyMap<number, string | undefined> {
  const inOrder = [...new Set(rows)].toSorted((a, b) => a - b);
  return new Map(inOrder.map((row) => [row, store.object(row).class]));
}
