import { resolve } from "node:path";
import { DataError, plain, readJsonLists, record, show, WHOLE } from "../../core/index.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex } from "../packed-index.js";
import { Place, stemOf } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { imagesNear } from "./coco.js";
import { readShape } from "./coco-json.js";
import { twoPlaces } from "./places.js";

/**
 * What detectors write: a list of `{ image_id, category_id, score, bbox or segmentation }`. It names
 * images by numbers only, which are those in the names of the pictures, as COCO has them.
 */
export const results: Reader = {
  ...twoPlaces("results", "images", "results.json"),
  places: "FOLDER or results:IMAGES,RESULTS.json",
  about:
    "a detector's COCO results: boxes or masks with scores, images by the numbers in their names",
  settings: ["score"],
  detect: detectResults,
  open: openResults,
};

function detectResults(look: Look): Detected | undefined {
  const file = look.isFile ? "" : "results.json";
  const text = look.glimpse(file);
  if (!/^\s*\[/.test(text) || !text.includes('"image_id"') || !text.includes('"score"'))
    return undefined;
  const images = look.isFile ? imagesNear(look.place) : undefined;
  if (look.isFolder)
    return look.hasFolder("images")
      ? { place: look.place, because: "results.json beside images/" }
      : undefined;
  return images === undefined
    ? undefined
    : { place: `${images},${look.place}`, because: `a detector's results, pictures in ${images}` };
}

async function openResults(spec: DataSpec): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "images"));
  const place = new Place(root, "image folder", spec.outside === true);
  const builder = new IndexBuilder({ reader: results.kind, root });
  const images = new Map<string, number>();
  for (const file of await place.walk()) {
    const image = builder.image(file);
    for (const id of namesOf(file)) if (!images.has(id)) images.set(id, image);
  }
  if (builder.size === 0)
    throw new DataError(`image folder ${plain(root)}: there is no picture in it`);
  const path = textOf(spec, "annotations");
  const least = typeof spec.score === "number" ? spec.score : 0;
  const mistakes = new Mistakes(`results ${path}`);
  const categories = new Map<number, number>();
  const scores = { low: Infinity, high: -Infinity };
  const rest = await readJsonLists(path, "results", {
    [WHOLE]: (entry, at) =>
      mistakes.collect(() => {
        const found = record(entry, `entry ${at}`);
        const { image_id: id, category_id: category, score } = found;
        if (typeof score !== "number")
          throw new DataError(`entry ${at}: "score" is ${show(score)}; wanted a number`);
        if (typeof category !== "number" || !Number.isInteger(category))
          throw new DataError(
            `entry ${at}: "category_id" is ${show(category)}; wanted a whole number`,
          );
        const image = images.get(String(id));
        if (image === undefined) {
          if (typeof id !== "number" && typeof id !== "string")
            throw new DataError(`entry ${at}: "image_id" is ${show(id)}; wanted a number`);
          builder.leave(
            "object of a picture that is not there",
            "objects of pictures that are not there",
          );
          return;
        }
        if (score < least) {
          builder.leave(
            `object with a score below ${least}`,
            `objects with a score below ${least}`,
          );
          return;
        }
        scores.low = Math.min(scores.low, score);
        scores.high = Math.max(scores.high, score);
        const label = categories.get(category) ?? categories.size;
        categories.set(category, label);
        if (isEmptyBox(found)) {
          builder.leave("box without an area", "boxes without an area");
          return;
        }
        try {
          const size = sizeOf(found);
          const shape = readShape(found, size ?? { width: 1, height: 1 });
          if (size) builder.measure(image, size);
          builder.object(image, { id: at, label, score, shape });
        } catch (cause) {
          if (!(cause instanceof DataError)) throw cause;
          throw new DataError(`entry ${at} (image ${show(id)}): ${cause.message}`, { cause });
        }
      }),
  });
  if (!rest.lists.has(WHOLE))
    throw new DataError(
      `results ${plain(path)} are no list; wanted a detector's results. A file with "images" in it is read as ` +
        `coco:IMAGES,FILE.json`,
    );
  mistakes.check();
  if (scores.high > least && scores.low < scores.high)
    builder.remark(
      `scores from ${scores.low} to ${scores.high}; #score=0.5 would leave out what the detector was less sure of`,
    );
  const sorted = [...categories.keys()].toSorted((a, b) => a - b);
  const labels: number[] = [];
  for (const [label, category] of sorted.entries()) labels[categories.get(category)!] = label;
  builder.relabel(labels);
  return builder.finish(sorted.map((category) => `category ${category}`));
}

/** What an `image_id` may be for this file: its name, or the number at its end. */
function namesOf(file: string): string[] {
  const stem = stemOf(file);
  const digits = /(\d+)$/.exec(stem)?.[1];
  return digits === undefined ? [stem] : [stem, String(Number(digits))];
}

/** Run lengths say what size they are for; the picture is compared with it when it is read. */
function sizeOf({ segmentation }: Readonly<Record<string, unknown>>) {
  const size: unknown =
    typeof segmentation === "object" && segmentation !== null && "size" in segmentation
      ? segmentation.size
      : undefined;
  const [height, width] = Array.isArray(size) ? (size as unknown[]) : [];
  const isSide = (side: unknown): side is number =>
    typeof side === "number" && Number.isInteger(side) && side > 0;
  return isSide(width) && isSide(height) ? { width, height } : undefined;
}

function isEmptyBox({ bbox, segmentation }: Readonly<Record<string, unknown>>): boolean {
  if (segmentation !== undefined || !Array.isArray(bbox)) return false;
  const [, , width, height] = bbox as unknown[];
  return width === 0 || height === 0;
}
