import type { Recipe } from "../../packages/odis/dist/recipe/index.js";

/** What a step runs its last block's row-wise half and its heads on. */
export interface RowsRead {
  /** rows of the teacher's global views */
  readonly teacher: number;
  /** rows of the student's global views */
  readonly studentGlobal: number;
  readonly studentLocal: number;
}

/**
 * Floating-point operations of the matrix products of one step (multiply and add count as two;
 * norms, softmax, GELU, losses and the update are left out).
 *
 * With D width, r the MLP ratio, p the patch side, T tokens and N patches of a view:
 *
 *     patch projection   2 N 3p² D            forward, and once more for its weight's gradient
 *     block, dense       2 T D² (4 + 2r)      forward, and twice that backward (input and weight)
 *     block, attention   2 T² D 2             the same
 *     head               2 (Dh + h² + hb + bK) per row, the same
 *
 * The teacher runs forward only. `read` says on how many rows the heads run: as published on every
 * token, here on those that a loss reads. In the last block those rows are also the only ones that
 * need what follows the attention (projection and MLP); pass `trimmed` when the step uses that.
 */
export function stepFlops(recipe: Recipe, read: RowsRead, trimmed: boolean): number {
  const { model, head, views, optim } = recipe;
  const { dim: D, depth, mlpRatio: r, patch } = model;

  const backbone = (count: number, size: number, rows: number, trained: boolean): number => {
    const N = (size / patch) ** 2;
    const T = N + 1;
    const tokens = count * optim.batch * T;
    const afterAttention = trimmed ? rows : tokens;
    const dense = (depth - 1) * tokens * (4 + 2 * r) + tokens * 3 + afterAttention * (1 + 2 * r);
    const blocks = 2 * D * D * dense + depth * tokens * 4 * T * D;
    const embedding = 2 * (tokens - count * optim.batch) * 3 * patch * patch * D;
    return trained ? 3 * blocks + 2 * embedding : blocks + embedding;
  };
  const { hidden: h, bottleneck: b, prototypes: K } = head;
  const perRow = 2 * (D * h + h * h + h * b + b * K);

  const { globals, locals } = views;
  return (
    backbone(globals.count, globals.size, read.teacher, false) +
    backbone(globals.count, globals.size, read.studentGlobal, true) +
    backbone(locals.count, locals.size, read.studentLocal, true) +
    perRow * (read.teacher + 3 * (read.studentGlobal + read.studentLocal))
  );
}

/** Heads on every token, as published. */
export function everyToken({ model, views, optim }: Recipe): RowsRead {
  const tokens = ({ count, size }: { count: number; size: number }): number =>
    count * optim.batch * ((size / model.patch) ** 2 + 1);
  const global = tokens(views.globals);
  return { teacher: global, studentGlobal: global, studentLocal: tokens(views.locals) };
}

/** Heads on [OBJ] of every view and on hidden patches. */
export function readTokens({ views, optim }: Recipe, hidden: Uint8Array): RowsRead {
  const patches = hidden.reduce((sum, byte) => sum + byte, 0);
  const global = views.globals.count * optim.batch + patches;
  return {
    teacher: global,
    studentGlobal: global,
    studentLocal: views.locals.count * optim.batch,
  };
}
