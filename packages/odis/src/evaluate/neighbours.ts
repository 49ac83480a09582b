import { fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";
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
  /** [queries, k] rows of the bank */
  readonly rows: Int32Array;
  /** [queries, k] cosine similarities, -1..1 */
  readonly similarities: Float32Array;
}

/** Largest block of similarities or scores in memory: 64 MiB of float32. */
export const blockElements = 1 << 24;

/**
 * The k most similar rows of a bank by cosine, computed on the engine in blocks of queries.
 * Which of several equally similar rows comes first is up to the engine.
 */
export function nearestRows(
  bank: Labelled,
  queries: Pick<Labelled, "features" | "width">,
  k: number,
  device = "cpu",
): Neighbours {
  const n = bank.labels.length;
  const { width } = bank;
  const count = width > 0 ? queries.features.length / width : 0;
  if (n === 0) throw new ConfigError("k-NN: got an empty bank; wanted at least one labelled row");
  if (queries.width !== width)
    throw new Error(`internal: k-NN of width ${queries.width} against a bank of width ${width}`);
  const kept = Math.min(k, n);
  const rows = new Int32Array(count * kept);
  const similarities = new Float32Array(count * kept);
  const block = Math.max(1, Math.floor(blockElements / n));
  noGrad(() =>
    tidy(() => {
      const keys = unit(fromBuffer(bank.features, [n, width]).to({ device })).transpose(0, 1);
      for (let begin = 0; begin < count; begin += block) {
        const size = Math.min(block, count - begin);
        tidy(() => {
          const part = queries.features.subarray(begin * width, (begin + size) * width);
          const products = unit(fromBuffer(part, [size, width]).to({ device })).matmul(keys);
          const [best, at] = products.topk(kept, 1);
          similarities.set(best.toFloat32(), begin * kept);
          rows.set(at.to({ dtype: "int32" }).toNumbers(), begin * kept);
        });
      }
    }),
  );
  return { k: kept, rows, similarities };
}

/** [n, D] -> rows of unit length; a zero row stays zero. */
export function unit(rows: Tensor): Tensor {
  return rows.div(rows.norm(-1, 2, true).clampMin(1e-12));
}
