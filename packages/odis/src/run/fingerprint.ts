import { createHash } from "node:crypto";
import { z } from "zod";
import { counted, grouped, readOwnText, replaceText, RunError } from "../core/index.js";
import type { OpenSource } from "../data/index.js";
import type { Recipe } from "../recipe/index.js";
import type { World } from "../train/index.js";
import { configDifferences, describeDifferences } from "./folder.js";

/** What a run trains on, as far as it can be known without reading images. */
const fingerprintSchema = z.strictObject({
  /** of how the rest is made; another one says nothing */
  version: z.literal(1),
  images: z.int(),
  /** SHA-256 of their names in their order, hex */
  names: z.string(),
  /** undefined where only reading the images would tell */
  objects: z
    .strictObject({
      count: z.int(),
      /** SHA-256 of the share of its image that each covers, hex */
      shares: z.string(),
    })
    .optional(),
});
type Fingerprint = z.infer<typeof fingerprintSchema>;

/**
 * Makes sure that a run goes on with the data that it began with: a run's steps say which images
 * they are made of, so that with others epochs, schedules and order would silently be others.
 *
 * @param file where the run keeps it; a run from before there was one gets it now
 * @param accepted whether other data is wanted: what differs is then only told
 * @returns sentences for the log
 * @throws RunError naming what differs
 */
export function checkData(file: string, source: OpenSource, accepted: boolean): readonly string[] {
  const here = fingerprintOf(source);
  const there = readFingerprint(file);
  const found = there === undefined ? [] : differences(there, here);
  if (found.length > 0 && !accepted)
    throw new RunError(
      `the data is not what the run began with: ${found.join("; ")}. Restore it, begin another run ` +
        `(--out), or go on with what is there now: --accept-data.`,
    );
  if (there === undefined || found.length > 0)
    replaceText(file, `${JSON.stringify(here, null, 2)}\n`);
  return found.map((difference) => `goes on with other data: ${difference}`);
}

/**
 * Makes sure that all processes train the same recipe on the same data.
 *
 * @throws RunError in all of them, naming what differs from the first one's
 */
export function checkEquals(world: World, recipe: Recipe, source: OpenSource): void {
  if (world.size === 1) return;
  const mine = { recipe, data: fingerprintOf(source) };
  const [first, ...others] = world.shareValues(mine);
  for (const [at, other] of others.entries()) {
    const settings = describeDifferences(configDifferences(first!.recipe, other.recipe), 3, [
      "in rank 0",
      `in rank ${at + 1}`,
    ]);
    const found = [
      ...(settings === "" ? [] : [settings]),
      ...differences(first!.data, other.data, ["in rank 0", `in rank ${at + 1}`]),
    ];
    if (found.length > 0)
      throw world.everywhere(
        new RunError(
          `rank ${at + 1} of ${world.size} was started for another run than rank 0: ${found.join("; ")}. ` +
            `Start all processes with the same line and data.`,
        ),
      );
  }
}

function fingerprintOf(source: OpenSource): Fingerprint {
  const { size, listed } = source;
  const names = createHash("sha256");
  const shares = createHash("sha256");
  let count = 0;
  for (let image = 0; image < size; image += 1) {
    names.update(`${source.key(image)}\n`);
    const objects = listed?.(image) ?? [];
    count += objects.length;
    // Labels are left out: training does not see them.
    shares.update(`${objects.map(({ share }) => share?.toFixed(6) ?? "?").join(" ")}\n`);
  }
  return {
    version: 1,
    images: size,
    names: names.digest("hex"),
    ...(listed ? { objects: { count, shares: shares.digest("hex") } } : {}),
  };
}

function readFingerprint(file: string): Fingerprint | undefined {
  const text = readOwnText(file);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  const parsed = fingerprintSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const other = z.looseObject({ version: z.int().min(2) }).safeParse(value);
  if (other.success) return undefined;
  throw new RunError(
    `${file}: not what odis wrote; it was changed or damaged. Restore it from a copy, or delete it ` +
      `if the data is what the run began with.`,
  );
}

function differences(
  there: Fingerprint,
  here: Fingerprint,
  [then, now]: readonly [string, string] = ["then", "now"],
): readonly string[] {
  const found: string[] = [];
  if (there.images !== here.images)
    found.push(`${counted(there.images, "image")} ${then}, ${grouped(here.images)} ${now}`);
  else if (there.names !== here.names) found.push("images have other names, or another order");
  if (!there.objects || !here.objects) return found;
  if (there.objects.count !== here.objects.count)
    found.push(
      `${counted(there.objects.count, "object")} ${then}, ${grouped(here.objects.count)} ${now}`,
    );
  else if (there.objects.shares !== here.objects.shares && found.length === 0)
    found.push("objects have other outlines");
  return found;
}
