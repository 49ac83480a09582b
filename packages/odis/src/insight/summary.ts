import { counted, plain } from "../core/index.js";
import { count, percent } from "../report/index.js";
import type { Store } from "../search/index.js";
import { isNamed } from "./clusters.js";
import type { Insight } from "./insight.js";

/** What is shown of each: a screen. */
const SHOWN = 5;

/** What stands out in a store, for a terminal. */
export function formatInsight(store: Store, insight: Insight): string {
  const { duplicates, outliers, doubts, clusters, kind, looked } = insight;
  const { groups, least } = duplicates;
  const copies = groups.reduce((sum, { rows }) => sum + rows.length, 0);
  const place = (row: number): string => {
    if (kind === "images") return plain(store.image(row).key);
    const { image, box, class: name } = store.object(row);
    const where = `${plain(image.key)} at ${box.x},${box.y},${box.width},${box.height}`;
    return name === undefined ? where : `${plain(name)}, ${where}`;
  };
  const some = looked[kind] < store.size(kind) ? `, ${count(looked[kind])} ${kind} looked at` : "";
  const [seen, size] = [looked.images, store.size("images")];
  const sample = seen < size ? ` of ${count(seen)} of ${counted(size, "image")}` : "";
  return [
    `${plain(store.path)}: ${counted(store.size("images"), "image")}, ${counted(store.size("objects"), "object")}${some}`,
    groups.length === 0
      ? `near-duplicates${sample}: no two images are nearly the same`
      : `near-duplicates${sample}: ${count(copies)} images in ${counted(groups.length, "group")} (cosine ${least.toFixed(4)} or more)`,
    ...groups.slice(0, SHOWN).map(
      ({ rows, similarity }) =>
        `  ${similarity.toFixed(4)}  ${rows
          .slice(0, 4)
          .map((row) => plain(store.image(row).key))
          .join(" = ")}${rows.length > 4 ? `, ${rows.length - 4} more` : ""}`,
    ),
    ...(outliers.length === 0 ? [] : ["farthest from all others, times the usual distance:"]),
    ...outliers.slice(0, SHOWN).map(({ row, times }) => `  ${times.toFixed(1)}  ${place(row)}`),
    ...(doubts.length === 0
      ? []
      : [
          `labels in doubt: ${count(doubts.length)}, whose nearest are nearly all of another class`,
        ]),
    ...doubts
      .slice(0, SHOWN)
      .map(({ row, other, share }) => `  ${percent(share)} % ${plain(other)}: ${place(row)}`),
    `clusters: ${clusters.clusters.length}`,
    ...clusters.clusters
      .slice(0, 2 * SHOWN)
      .map(
        ({ members, name }) =>
          `  ${count(members.length).padStart(6)}  ${name ? `${isNamed({ name }) ? "" : "mixed, most "}${plain(name.class)} ${percent(name.share)} %` : `like ${place(members[0]!)}`}`,
      ),
    ...(clusters.clusters.length > 2 * SHOWN
      ? [`  … ${clusters.clusters.length - 2 * SHOWN} more`]
      : []),
  ].join("\n");
}
