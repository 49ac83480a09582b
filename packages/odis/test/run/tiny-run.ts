import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tinyCoco } from "../evaluate/tiny-coco.js";

/**
 * A data set of its own for the tests of a file: 12 small pictures, with two objects each.
 *
 * @param folder default: a new one
 */
export async function tinyData(
  folder = mkdtempSync(join(tmpdir(), "odis-tiny-")),
): Promise<string> {
  const names = Array.from({ length: 12 }, (_, index) => `${index}.png`);
  await tinyCoco(folder, names, 1);
  return folder;
}

/**
 * The command line of the smallest run that still has everything: a step takes milliseconds.
 *
 * @param data from `tinyData`
 */
export const tinyRun = (data: string, out: string, ...more: string[]): string[] => [
  ...`pretrain --data coco:${data} --out ${out} --batch 4 --threads 1 --workers 1`.split(" "),
  ...tinySettings.split(" "),
  ...more,
];

const tinySettings =
  "--set model.dim=8 model.depth=1 model.heads=2 model.patch=8 head.hidden=8 head.bottleneck=4 " +
  "head.prototypes=8 views.globals.size=16 views.locals.size=8 views.locals.count=1";

/** The same settings as values. */
export const tinyValues = {
  model: { dim: 8, depth: 1, heads: 2, patch: 8 },
  head: { hidden: 8, bottleneck: 4, prototypes: 8 },
  views: { globals: { size: 16 }, locals: { size: 8, count: 1 } },
} as const;
