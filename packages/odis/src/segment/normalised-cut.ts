import { call, fromBuffer, noGrad, type Tensor, tidy } from "@odis/torch";

/** A grid of patches and what a network says of each. */
export interface PatchGrid {
  readonly rows: number;
  readonly columns: number;
  /** numbers of one patch's feature */
  readonly width: number;
  /** rows × columns × width */
  readonly features: Float32Array;
}

export interface CutSettings {
  /** patches are alike above this cosine */
  readonly alike: number;
  /** most objects */
  readonly most: number;
  /** least share of the patches that is an object */
  readonly least: number;
}

/** A connected part of the grid that differs from the rest. */
export interface Part {
  /** rows × columns, 1 = inside */
  readonly inside: Uint8Array;
  /** how much more alike its patches are to each other than to those outside, 0..1 */
  readonly score: number;
}

/** Affinity of patches that are not alike: keeps the graph in one piece. */
const APART = 1e-5;

/**
 * Cuts a grid of patches in two where they are least alike (normalised cut, Shi and Malik 2000),
 * keeps the part that stands out, and does so again without it: TokenCut (Wang et al. 2022), and
 * its repetition in MaskCut (Wang et al. 2023).
 */
export function cutParts(grid: PatchGrid, { alike, most, least }: CutSettings): Part[] {
  const n = grid.rows * grid.columns;
  return noGrad(() =>
    tidy(() => {
      const cosines = cosinesOf(grid);
      const near = cosines.toFloat32();
      const taken = new Uint8Array(n);
      const parts: Part[] = [];
      for (let tries = 0; tries < most; tries += 1) {
        const cut = secondVector(near, taken, alike);
        const inside = standingOut(cut, taken, grid);
        const size = inside.reduce((sum, bit) => sum + bit, 0);
        const isNew = inside.some((bit, at) => bit === 1 && taken[at] === 0);
        if (size < Math.max(1, least * n) || !isNew) break;
        parts.push({ inside, score: separation(near, inside) });
        for (let at = 0; at < n; at += 1) taken[at]! |= inside[at]!;
      }
      return parts;
    }),
  );
}

/** [n, n]: cosines of the patches' features. */
function cosinesOf({ rows, columns, width, features }: PatchGrid): Tensor {
  const lengths = Array.from({ length: rows * columns }, (_, patch) =>
    Math.hypot(...features.subarray(patch * width, (patch + 1) * width)),
  );
  const unit = features.map(
    (value, at) => value / Math.max(1e-12, lengths[Math.floor(at / width)]!),
  );
  const matrix = fromBuffer(unit, [rows * columns, width]);
  return matrix.matmul(matrix.transpose(0, 1));
}

/**
 * The second smallest eigenvector of (D - W) x = λ D x, where W is 1 between patches that are alike
 * and next to nothing elsewhere. Patches of objects that were found before are alike to nobody.
 */
export function secondVector(
  cosines: Float32Array,
  taken: Uint8Array,
  alike: number,
): Float32Array {
  const n = taken.length;
  const affinity = new Float64Array(n * n);
  const degree = new Float64Array(n);
  for (let a = 0; a < n; a += 1) {
    for (let b = 0; b < n; b += 1) {
      const isFree = taken[a] === 0 && taken[b] === 0;
      const weight = isFree && cosines[a * n + b]! > alike ? 1 : APART;
      affinity[a * n + b] = weight;
      degree[a]! += weight;
    }
  }
  const scaled = affinity.map(
    (weight, at) => weight / Math.sqrt(degree[Math.floor(at / n)]! * degree[at % n]!),
  );
  return tidy(() => {
    // The largest of D^-½ W D^-½ are the smallest of the problem; eigenvalues come in rising order.
    const [, vectors] = call("aten::linalg_eigh", fromBuffer(scaled, [n, n]), "L") as [
      Tensor,
      Tensor,
    ];
    const second = vectors
      .select(1, n - 2)
      .to({ dtype: "float32" })
      .toFloat32();
    return second.map((value, at) => value / Math.sqrt(degree[at]!));
  });
}

/** Corners in a part from which on it is the background. */
const MOST_CORNERS = 2;

/** The side of the cut with the patch that differs most, and of it what hangs together with that. */
function standingOut(
  cut: Float32Array,
  taken: Uint8Array,
  { rows, columns }: PatchGrid,
): Uint8Array {
  const free = Array.from(cut.keys()).filter((at) => taken[at] === 0);
  const mean = free.reduce((sum, at) => sum + cut[at]!, 0) / Math.max(1, free.length);
  const corners = [0, columns - 1, (rows - 1) * columns, rows * columns - 1];
  const far = (at: number) => Math.abs(cut[at]! - mean);
  const seed = free.reduce((best, at) => (far(at) > far(best) ? at : best), free[0] ?? 0);
  const isAbove = cut[seed]! > mean;
  const side = (above: boolean) =>
    Uint8Array.from(cut, (value, at) => Number(taken[at] === 0 && value > mean === above));
  const chosen = side(isAbove);
  if (corners.filter((corner) => chosen[corner] === 1).length <= MOST_CORNERS)
    return connected(chosen, seed, rows, columns);
  const other = side(!isAbove);
  const members = free.filter((at) => other[at] === 1);
  if (members.length === 0) return new Uint8Array(cut.length);
  const otherSeed = members.reduce((best, at) => (far(at) > far(best) ? at : best), members[0]!);
  return connected(other, otherSeed, rows, columns);
}

/** The part of a grid that hangs together with one cell. */
function connected(inside: Uint8Array, seed: number, rows: number, columns: number): Uint8Array {
  const out = new Uint8Array(inside.length);
  const open = [seed];
  while (open.length > 0) {
    const at = open.pop()!;
    if (inside[at] === 0 || out[at] === 1) continue;
    out[at] = 1;
    const [x, y] = [at % columns, Math.floor(at / columns)];
    if (x > 0) open.push(at - 1);
    if (x + 1 < columns) open.push(at + 1);
    if (y > 0) open.push(at - columns);
    if (y + 1 < rows) open.push(at + columns);
  }
  return out;
}

function separation(cosines: Float32Array, inside: Uint8Array): number {
  const n = inside.length;
  let [within, pairs, across, others] = [0, 0, 0, 0];
  for (let a = 0; a < n; a += 1) {
    if (inside[a] === 0) continue;
    for (let b = 0; b < n; b += 1) {
      if (inside[b] === 1) [within, pairs] = [within + cosines[a * n + b]!, pairs + 1];
      else [across, others] = [across + cosines[a * n + b]!, others + 1];
    }
  }
  if (others === 0) return 0;
  return Math.min(1, Math.max(0, within / pairs - across / others));
}
