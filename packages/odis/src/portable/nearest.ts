/** A row, and how like a vector it is. */
export interface Found {
  readonly row: number;
  /** cosine, -1..1 */
  readonly similarity: number;
}

/** Vectors in memory of which the most like another are found by comparing with all. */
export class Nearest {
  private readonly parts: { readonly rows: Float32Array; readonly scales: Float32Array }[] = [];

  constructor(private readonly width: number) {}

  /** @param rows [m, width]: the next m */
  add(rows: Float32Array): void {
    const { width } = this;
    const scales = new Float32Array(rows.length / width);
    for (let row = 0; row < scales.length; row += 1)
      scales[row] = 1 / length(rows.subarray(row * width, (row + 1) * width));
    this.parts.push({ rows, scales });
  }

  /** A row's vector: [width]. */
  vector(row: number): Float32Array {
    let from = row * this.width;
    for (const { rows } of this.parts) {
      if (from < rows.length) return rows.slice(from, from + this.width);
      from -= rows.length;
    }
    throw new Error(`row ${row}: there is none`);
  }

  /** The most like a vector [width], best first; of equal ones, the first. */
  find(vector: Float32Array, top: number, without?: number): Found[] {
    const scale = 1 / length(vector);
    let best: Found[] = [];
    let least = -Infinity;
    let first = 0;
    for (const { rows, scales } of this.parts) {
      for (let row = 0; row < scales.length; row += 1) {
        const similarity = dot(rows, row * this.width, vector) * scales[row]! * scale;
        if (similarity <= least || first + row === without) continue;
        best.push({ row: first + row, similarity });
        if (best.length < 2 * top) continue;
        best = sorted(best).slice(0, top);
        least = best.at(-1)!.similarity;
      }
      first += scales.length;
    }
    return sorted(best).slice(0, top);
  }
}

const sorted = (found: readonly Found[]): Found[] =>
  found.toSorted((a, b) => b.similarity - a.similarity);

function dot(rows: Float32Array, from: number, vector: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < vector.length; at += 1) sum += rows[from + at]! * vector[at]!;
  return sum;
}

/** A vector of length 0 is like nothing, and not NaN. */
function length(vector: Float32Array): number {
  return Math.max(1e-12, Math.sqrt(dot(vector, 0, vector)));
}
