import { DataError, grouped } from "../core/index.js";
import type { OpenSource } from "./dataset.js";
import { forms, objectRange, type PackedIndex, shapeOf } from "./packed-index.js";

/** What is known of an object without reading its image. */
export interface ListedObject {
  readonly label: number;
  /** share of the image that its mask covers, nearly; undefined where only the picture tells */
  readonly share: number | undefined;
}

/** The objects of an image as they are listed. */
export function listedObjects(index: PackedIndex, image: number): ListedObject[] {
  const [begin, end] = objectRange(index, image);
  const pixels = index.widths[image]! * index.heights[image]!;
  return Array.from({ length: end - begin }, (_, at) => ({
    label: index.labels[begin + at]!,
    share: shareOf(index, begin + at, pixels),
  }));
}

/** Outlines are measured by their corners, which is a pixel or two off; nothing is drawn. */
function shareOf(index: PackedIndex, object: number, pixels: number): number | undefined {
  const form = forms[index.objectForms[object]!]!;
  if (form === "whole") return 1;
  const isShare = form === "share polygons" || form === "share box";
  if (form === "file" || (pixels === 0 && !isShare)) return undefined;
  const { parts } = shapeOf(index, object);
  const first = parts[0] ?? [];
  const [at, area] = [form === "value" ? 1 : 0, isShare ? 1 : pixels];
  if (form === "polygons" || form === "share polygons")
    return parts.reduce((sum, part) => sum + cornerArea(part), 0) / area;
  if (form !== "runs")
    return first.length < at + 4 ? undefined : (first[at + 2]! * first[at + 3]!) / area;
  let inside = 0;
  for (let run = 1; run < first.length; run += 2) inside += first[run]!;
  return inside / area;
}

/** Area inside a closed line of corners (the shoelace formula). */
function cornerArea(part: ArrayLike<number>): number {
  let twice = 0;
  for (let at = 0; at < part.length; at += 2) {
    const next = (at + 2) % part.length;
    twice += part[at]! * part[next + 1]! - part[next]! * part[at + 1]!;
  }
  return Math.abs(twice) / 2;
}

/** How many objects a setting leaves. */
export interface Survey {
  readonly objects: number;
  /** below the least share */
  readonly small: number;
  /** images with an object that is large enough */
  readonly images: number;
}

/** @returns undefined where only reading the images tells */
export function surveyObjects(source: OpenSource, minShare: number): Survey | undefined {
  const { listed } = source;
  if (!listed) return undefined;
  let [objects, small, images] = [0, 0, 0];
  for (let image = 0; image < source.size; image += 1) {
    const found = listed(image);
    const fitting = found.filter(({ share = 1 }) => share >= minShare).length;
    objects += found.length;
    small += found.length - fitting;
    images += Number(fitting > 0);
  }
  return { objects, small, images };
}

/** What to do about data without any object. */
export const objectAdvice =
  "Give data with objects, let each picture without one be one as a whole (PLACE#whole), or train without " +
  "them: --recipe ibot";

/**
 * What a recipe that learns from objects should know of a data set before it trains on it.
 *
 * @param minShare objects that cover a smaller share of their image are never chosen
 * @returns a warning, if objects are few
 * @throws DataError when there is none to learn from: training would go on to the end for nothing
 */
export function checkObjects(source: OpenSource, minShare: number): string[] {
  const survey = surveyObjects(source, minShare);
  if (!survey) return [];
  const { objects, small, images } = survey;
  const tooSmall = `${grouped(small)} of ${grouped(objects)} objects cover less than ${100 * minShare} % of their image (views.object.minArea)`;
  if (images === 0) {
    const why =
      objects > 0 ? [tooSmall] : source.notes.filter((note) => note.startsWith("left out"));
    throw new DataError(
      `none of ${grouped(source.size)} images has an object to learn from${why.length > 0 ? `: ${why.join("; ")}` : ""}. ` +
        objectAdvice,
    );
  }
  if (2 * images >= source.size) return [];
  const because = small > 0 ? `; ${tooSmall}` : "";
  return [
    `only ${grouped(images)} of ${grouped(source.size)} images have an object to learn from: the others' views are about nothing${because}`,
  ];
}
