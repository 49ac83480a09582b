import { arange, cat, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
import { max, rollup } from "d3-array";
import { ConfigError } from "../core/index.js";

/** Feature vectors with one class each. */
export interface Labelled {
  /** [n, width], row-major; normalised here, so any length will do */
  readonly features: Float32Array;
  /** D */
  readonly width: number;
  /** [n], each 0..classes-1 */
  readonly labels: Int32Array;
}

/** The rows of a bank that are most like each query, best first. */
export interface Neighbours {
  /** how many per query; less than asked for when the bank is smaller */
  readonly k: number;
  /** [queries, k] rows of the bank; -1 where a query has less than k neighbours */
  readonly rows: Int32Array;
  /** [queries, k] cosine similarities, -1..1 */
  readonly similarities: Float32Array;
}

/** Largest block of similarities or scores in memory: 64 MiB of float32. */
export const blockElements = 1 << 24;

/** What is compared at once: 1,024 queries with 16,384 rows fill a block and keep the BLAS busy. */
export const sizes = { queries: 1024, rows: 16_384, group: 64 };

/** Queries of a block with the best rows that they have met so far. */
interface Block {
  /** [b, D], unit */
  readonly queries: Tensor;
  /** [b, k] similarities and rows, best first; undefined before the first chunk */
  best: readonly [similar: Tensor, rows: Tensor] | undefined;
}

/**
 * The most similar rows of a bank by cosine, computed on the engine. The bank comes in chunks of any
 * size and may be larger than memory: kept are the queries, their best rows so far, and one block of
 * similarities. Dispose of it.
 *
 * Which of several equally similar rows is found is up to the engine.
 */
export class NeighbourSearch implements Disposable {
  private readonly blocks: Block[];
  private seen = 0;

  /**
   * @param queries [n, width], row-major; any length will do
   * @param k rows that are wanted for each
   * @param of what is compared at once; only time and memory depend on it
   */
  constructor(
    queries: Float32Array,
    private readonly width: number,
    private readonly k: number,
    private readonly device = "cpu",
    private readonly of = sizes,
  ) {
    const n = width > 0 ? queries.length / width : 0;
    this.blocks = Array.from({ length: Math.ceil(n / of.queries) }, (_, block) => {
      const [begin, end] = [block * of.queries, Math.min(n, (block + 1) * of.queries)];
      return {
        queries: this.unitRows(queries.subarray(begin * width, end * width)),
        best: undefined,
      };
    });
  }

  /** @param features [m, width]: the next m rows of the bank */
  add(features: Float32Array): void {
    const { width, of } = this;
    const m = features.length / width;
    for (let begin = 0; begin < m; begin += of.rows) {
      const end = Math.min(m, begin + of.rows);
      const keys = this.unitRows(features.subarray(begin * width, end * width));
      for (const block of this.blocks) noGrad(() => this.meet(block, keys, this.seen + begin));
      keys.free();
    }
    this.seen += m;
  }

  /**
   * The same of rows that have length 1 already: for a bank that is searched again and again.
   *
   * @param rows [m, width], on the search's device; stays its owner's
   */
  addUnit(rows: Tensor): void {
    const [m] = rows.dims(2);
    for (let begin = 0; begin < m; begin += this.of.rows) {
      const keys = rows.narrow(0, begin, Math.min(this.of.rows, m - begin));
      for (const block of this.blocks) noGrad(() => this.meet(block, keys, this.seen + begin));
      keys.free();
    }
    this.seen += m;
  }

  /** Compares the queries of a block with some rows and keeps the best of old and new. */
  private meet(block: Block, keys: Tensor, first: number): void {
    const before = block.best;
    const best = tidy(() => {
      const [similar, found] = largest(
        block.queries.matmul(keys.transpose(0, 1)),
        this.k,
        this.of.group,
      );
      const rows = found.add(first);
      if (!before) return [similar, rows] as const;
      const [both, all] = [cat([before[0], similar], 1), cat([before[1], rows], 1)];
      const [kept, at] = both.topk(Math.min(this.k, both.dims(2)[1]), 1);
      return [kept, all.gather(1, at)] as const;
    });
    if (before) for (const tensor of before) tensor.free();
    block.best = best;
  }

  /** What was found in all rows so far. */
  found(): Neighbours {
    const k = Math.min(this.k, this.seen);
    const n = this.blocks.reduce((sum, { queries }) => sum + queries.dims(2)[0], 0);
    const rows = new Int32Array(n * k);
    const similarities = new Float32Array(n * k);
    let to = 0;
    for (const { best } of this.blocks) {
      if (!best) continue;
      const [similar, at] = best;
      const values = similar.toFloat32();
      similarities.set(values, to);
      rows.set(
        tidy(() => at.to({ dtype: "int32" }).toNumbers()),
        to,
      );
      to += values.length;
    }
    return { k, rows, similarities };
  }

  /** [n, width] on the device, each row of length 1 */
  private unitRows(features: Float32Array): Tensor {
    return unitRows(features, this.width, this.device);
  }

  [Symbol.dispose](): void {
    for (const { queries, best } of this.blocks) {
      queries.free();
      for (const tensor of best ?? []) tensor.free();
    }
  }
}

/**
 * The k largest of each row. Where there are many, groups of neighbouring columns are compared
 * first: the k largest values all lie in the k groups of the largest maxima, and a maximum is
 * found far faster than an order.
 *
 * @param similar [b, m]
 * @returns [b, min(k, m)] values and columns, the largest first
 */
export function largest(
  similar: Tensor,
  most: number,
  group: number = sizes.group,
): readonly [values: Tensor, columns: Tensor] {
  const { device } = similar;
  const [b, m] = similar.dims(2);
  const k = Math.min(most, m);
  const groups = Math.floor(m / group);
  if (groups < 4 * k) return similar.topk(k, 1);
  const whole = similar.narrow(1, 0, groups * group).reshape([b, groups, group]);
  const [, chosen] = whole.amax(-1).topk(k, 1); // [b, k]
  const inside = arange(group, { dtype: "int64", device });
  const columns = chosen
    .unsqueeze(2)
    .mul(group)
    .add(inside)
    .reshape([b, k * group]);
  const rest = arange(m - groups * group, { dtype: "int64", device })
    .add(groups * group)
    .unsqueeze(0)
    .expand([b, m - groups * group]);
  const candidates = cat([columns, rest], 1);
  const [values, at] = similar.gather(1, candidates).topk(k, 1);
  return [values, candidates.gather(1, at)];
}

/** Rows [n, width], row-major, at length 1; free it. */
export function unitRows(features: Float32Array, width: number, device = "cpu"): Tensor {
  return noGrad(() =>
    tidy(() => unit(fromBuffer(features, [features.length / width, width], { device }))),
  );
}

/** Rows that belong together: a query never finds one of its own group. */
export interface Groups {
  /** [bank] and [queries] */
  readonly bank: ArrayLike<number>;
  readonly queries: ArrayLike<number>;
}

/**
 * The k most similar rows of a bank by cosine.
 *
 * @param apart pictures of the rows, where bank and queries share some
 */
export function nearestRows(
  bank: Pick<Labelled, "features" | "width">,
  queries: Pick<Labelled, "features" | "width">,
  k: number,
  device = "cpu",
  apart?: Groups,
): Neighbours {
  if (bank.features.length === 0)
    throw new ConfigError("k-NN: got an empty bank; wanted at least one labelled row");
  if (queries.width !== bank.width)
    throw new Error(
      `internal: k-NN of width ${queries.width} against a bank of width ${bank.width}`,
    );
  // As many more as a query may have to pass over.
  const counts = apart
    ? rollup(
        Array.from(apart.bank),
        (all) => all.length,
        (one) => one,
      )
    : undefined;
  const more = apart ? (max(Array.from(apart.queries), (one) => counts!.get(one) ?? 0) ?? 0) : 0;
  using search = new NeighbourSearch(queries.features, queries.width, k + more, device);
  search.add(bank.features);
  const found = search.found();
  return apart ? withoutOwn(found, apart, k) : found;
}

function withoutOwn(
  { k: wide, ...found }: Neighbours,
  { bank, queries }: Groups,
  k: number,
): Neighbours {
  const kept = Math.min(k, wide);
  const rows = new Int32Array(queries.length * kept).fill(-1);
  const similarities = new Float32Array(rows.length);
  for (let query = 0; query < queries.length; query += 1) {
    let to = query * kept;
    for (let from = query * wide; from < (query + 1) * wide && to < (query + 1) * kept; from += 1) {
      const row = found.rows[from]!;
      if (bank[row] === queries[query]) continue;
      rows[to] = row;
      similarities[to] = found.similarities[from]!;
      to += 1;
    }
  }
  return { k: kept, rows, similarities };
}

/** Cosine similarities of some queries with all rows of a bank. */
export interface Similarities {
  /** the first of the queries */
  readonly begin: number;
  /** [b, bank] */
  readonly scores: Float32Array;
}

/** All similarities, a block of queries at a time, on the host. */
export function* similarityBlocks(
  bank: Pick<Labelled, "features" | "width">,
  queries: Pick<Labelled, "features" | "width">,
  device = "cpu",
): Iterable<Similarities> {
  const { width } = bank;
  const [m, n] = [bank, queries].map(({ features }) => features.length / width) as [number, number];
  const rows = (features: Float32Array): Tensor =>
    unit(fromBuffer(features, [features.length / width, width], { device }));
  const keys = noGrad(() => tidy(() => rows(bank.features).transpose(0, 1).contiguous()));
  try {
    const block = Math.max(1, Math.floor(blockElements / m));
    for (let begin = 0; begin < n; begin += block) {
      const part = queries.features.subarray(begin * width, Math.min(n, begin + block) * width);
      const scores = noGrad(() => tidy(() => rows(part).matmul(keys).toFloat32()));
      yield { begin, scores };
    }
  } finally {
    keys.free();
  }
}

/** [n, D] -> rows of unit length; a zero row stays zero. */
export function unit(rows: Tensor): Tensor {
  return rows.div(rows.norm(-1, 2, true).clampMin(1e-12));
}
