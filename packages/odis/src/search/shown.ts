import { BadImageError, plain } from "../core/index.js";
import { ContactSheet } from "../data/index.js";
import type { StorePictures } from "./pictures.js";
import type { Hit, PictureQuery } from "./store.js";

/** Hits as lines of a table: likeness, class, image, box. */
export function formatHits(hits: readonly Hit[]): string {
  const rows = hits.map(({ similarity, object, image }, at) => {
    const box = object?.box;
    return [
      `${at + 1}`,
      similarity.toFixed(3),
      plain(object?.class ?? "–"),
      plain(image.key),
      box ? `${box.x},${box.y},${box.width},${box.height}` : "all of it",
    ];
  });
  const all = [["", "likeness", "class", "image", "box"], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map((row) =>
      row
        .map((text, column) =>
          column < 2 ? text.padStart(widths[column]!) : text.padEnd(widths[column]!),
        )
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/**
 * The query and its hits side by side, each marked in its photograph.
 *
 * @param onMissing told of pictures that cannot be read any more; they are left out
 */
export async function hitSheet(
  query: PictureQuery,
  hits: readonly Hit[],
  pictures: StorePictures,
  onMissing: (reason: string) => void,
): Promise<ReturnType<ContactSheet["draw"]>> {
  const sheet = new ContactSheet();
  await sheet.add({ ...query.sample, objects: query.object ? [query.object] : [] });
  for (const { image, object } of hits) {
    try {
      await sheet.add({ ...(await pictures.read(image)), objects: object ? [object.mask()] : [] });
    } catch (error) {
      if (!(error instanceof BadImageError)) throw error;
      onMissing(error.message);
    }
  }
  return sheet.draw();
}
