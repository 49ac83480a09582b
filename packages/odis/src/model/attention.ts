import { call, fromBuffer, Linear, Module, type Tensor } from "@odis/torch";

/** Who may look at whom, for the few queries that are restricted; all others see everything. */
export interface Visibility {
  /** [B, R, T] bool, `true` = query may look at key */
  readonly allowed: Tensor;
  /** index of the first of the R consecutive restricted queries */
  readonly firstRow: number;
}

/** Images of different numbers of tokens, one after the other: each sees its own, all of it. */
export interface Apart {
  /** [B + 1] int64, on the CPU: where each begins, and the number of rows */
  readonly starts: Tensor;
}

/** Multi-head self-attention with timm's weights (one `qkv` matrix split as 3, heads, headDim). */
export class Attention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;

  constructor(
    dim: number,
    readonly heads: number,
  ) {
    super();
    this.qkv = new Linear(dim, 3 * dim);
    this.proj = new Linear(dim, dim);
  }

  /**
   * [B, T, D] -> [B, T, D], or [rows, D] -> [rows, D] of images apart; with `rows`, [R] int64, only
   * those rows of the flattened tokens go through the output projection: [R, D].
   */
  forward(x: Tensor, sight?: Visibility | Apart, rows?: Tensor): Tensor {
    const mixed = this.mix(this.qkv.forward(x), sight);
    return this.proj.forward(rows ? flatRows(mixed, rows) : mixed);
  }

  private mix(qkv: Tensor, sight?: Visibility | Apart): Tensor {
    if (sight && "starts" in sight)
      return call("odis::attention_apart", qkv, this.heads, sight.starts) as Tensor;
    const { allowed = null, firstRow = 0 } = sight ?? {};
    return call("odis::attention", qkv, this.heads, allowed, firstRow) as Tensor;
  }

  /**
   * How the first `rows` queries spread their attention: [B, T, D] -> [B, H, rows, T], each row
   * summing to 1.
   */
  probabilities(x: Tensor, rows: number, visibility?: Visibility): Tensor {
    const [q, k] = split(this.qkv.forward(x), this.heads);
    return scores(q.narrow(2, 0, rows), k, visibility).softmax(-1);
  }
}

/** Rows, [R] int64, of tokens flattened to [B * T, D], or flat already: [R, D] */
export function flatRows(tokens: Tensor, rows: Tensor): Tensor {
  return tokens.flatten(0, -2).indexSelect(0, rows);
}

/** Numbers of rows, counted from 0, as an index: [R] int64 */
export function rowIndex(rows: readonly number[], device: string): Tensor {
  return fromBuffer(BigInt64Array.from(rows, BigInt), [rows.length], { device });
}

/** [B, T, 3 D] -> q, k, v, each [B, H, T, headDim] */
function split(qkv: Tensor, heads: number): [Tensor, Tensor, Tensor] {
  const [B, T, width] = qkv.dims(3);
  return qkv
    .reshape([B, T, 3, heads, width / 3 / heads])
    .permute([2, 0, 3, 1, 4])
    .unbind(0) as [Tensor, Tensor, Tensor];
}

/** Scaled dot products [B, H, rows, T], -∞ where a restricted query may not look. */
function scores(q: Tensor, k: Tensor, visibility?: Visibility): Tensor {
  const [, , rows, headDim] = q.dims(4);
  const all = q.matmul(k.transpose(-2, -1)).mul(headDim ** -0.5);
  if (!visibility) return all;
  const { allowed, firstRow } = visibility;
  const restricted = Math.min(allowed.dims(3)[1], rows - firstRow);
  const hide = allowed.narrow(1, 0, restricted).logicalNot().unsqueeze(1); // [B, 1, R, T]
  const before = all.narrow(2, 0, firstRow);
  const within = all.narrow(2, firstRow, restricted).maskedFill(hide, -Infinity);
  const after = all.narrow(2, firstRow + restricted, rows - firstRow - restricted);
  return call("aten::cat", [before, within, after], 2) as Tensor;
}
