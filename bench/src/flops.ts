import type { Recipe } from "../../packages/odis/dist/recipe/index.js";
import type { RowsRead } from "../../packages/odis/dist/train/index.js";

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
