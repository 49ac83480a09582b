import { createHash } from "node:crypto";
import type { DataSource } from "./dataset.js";

/** A text that is the same for the same bytes. */
export function identityOf(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("base64url");
}

/**
 * Which samples show one picture: under one file name, or in files of the same bytes. Splits and
 * neighbours that overlook it measure how well a network recognises pictures it has seen.
 *
 * @param images which to compare; default: all
 * @returns a number for each image asked for; equal numbers, one picture
 */
export async function pictureGroups(
  source: DataSource,
  images: readonly number[] = Array.from({ length: source.size }, (_, image) => image),
): Promise<Int32Array> {
  const byKey = new Map<string, number>();
  const byPicture = new Map<string, number>();
  const groups = new Int32Array(images.length);
  for (const [at, image] of images.entries()) {
    const key = source.key(image);
    const known = byKey.get(key);
    if (known !== undefined) {
      groups[at] = known;
      continue;
    }
    // A file that cannot be read is left to whoever reads it next: it is a picture of its own.
    const picture = (await source.picture?.(image).catch(() => undefined)) ?? `key ${key}`;
    const group = byPicture.get(picture) ?? byPicture.size;
    byPicture.set(picture, group);
    byKey.set(key, group);
    groups[at] = group;
  }
  return groups;
}
