import {
  boxIou,
  boxRle,
  checkedRle,
  type Frame,
  objectFromRuns,
  polygonRle,
  type Rle,
  rleBox,
  runsOfValues,
  type SceneObject,
} from "../objects/index.js";
import type { Archives } from "./archive.js";
import { type PackedDecimals, type PackedStrings, startOf } from "./packed.js";

/**
 * A data set that was read and checked, in flat arrays that threads share: object k of image i lies
 * between `objectEnds[i - 1]` and `objectEnds[i]`, its parts and their numbers likewise. Every
 * reader fills one, so that reading pictures, subsets and converting know one shape of data.
 */
export interface PackedIndex {
  /** the reader that made it */
  readonly reader: string;
  /** folder that file names are relative to, absolute */
  readonly root: string;
  readonly size: number;
  readonly classes: readonly string[];
  /** the pictures' files, relative to `root`; empty where `archives` hold them */
  readonly files: PackedStrings;
  /** where pictures lie inside of tar files */
  readonly archives: Archives | undefined;
  /** as annotated, pixels; 0 where only the picture tells */
  readonly widths: Int32Array;
  readonly heights: Int32Array;
  readonly objectEnds: Int32Array;
  readonly ids: Float64Array;
  readonly labels: Int32Array;
  /** of detectors, 0..1; empty where people annotated */
  readonly scores: Float32Array;
  /** what the numbers of an object mean: an index into {@link forms} */
  readonly objectForms: Uint8Array;
  readonly partEnds: Int32Array;
  readonly numberEnds: Int32Array;
  readonly numbers: PackedDecimals;
  /** pictures whose pixels say which object they belong to */
  readonly maps: LabelMaps | undefined;
  /** masks that are files of their own, relative to `root`; by the number in the form `file` */
  readonly maskFiles: PackedStrings;
  /** how colours and turned photographs are read */
  readonly pictures: PictureRules;
  /** annotations that became no object */
  readonly leftOut: readonly LeftOut[];
  /** names of pictures that stand in the list more than once, the first of them; and how many do */
  readonly repeated: { readonly count: number; readonly names: readonly string[] };
  /** doubtful things that the reader met, in sentences */
  readonly remarks: readonly string[];
}

/** Annotations of a sort that became no object. */
export interface LeftOut {
  readonly count: number;
  /** what one is, and what many are: "crowd region", "crowd regions" */
  readonly one: string;
  readonly many: string;
}

/** How pictures become pixels. */
export interface PictureRules {
  /** `stored`: the file's numbers, as published pipelines take them; `managed`: through its ICC profile */
  readonly color: "stored" | "managed";
  /**
   * Photographs that EXIF turns: `stored` as the file has them, `turned` as they are shown;
   * `annotated`: as the annotations' sizes say, and where those fit both ways as `otherwise`
   */
  readonly exif: "stored" | "turned" | "annotated";
  readonly otherwise: "stored" | "turned";
  /** one element, shared: what the annotations' sizes were found to say (see `turning.ts`) */
  readonly found: Int8Array;
}

export interface LabelMaps {
  /** relative to `root`, by image; empty where an image has none */
  readonly files: PackedStrings;
  /** whether objects are those of the map; otherwise they are listed, in the form `value` */
  readonly unlisted: boolean;
  /** values that are no object, beside the highest of greys and indices */
  readonly ignore: readonly number[];
  /** label of a value; missing ones have none */
  readonly labels: ReadonlyMap<number, number>;
}

/**
 * What the numbers of an object's mask mean.
 *
 * `polygons`: x, y pairs, pixels; `runs`: run lengths; `box`: x, y, width, height, pixels;
 * `share polygons`, `share box`: the same as shares of the image's sides; `whole`: the image, no
 * numbers; `value`: a value of the image's label map, and the box (pixels) that stands in for it;
 * `file`: a number of `maskFiles`.
 */
export const forms = [
  "polygons",
  "runs",
  "box",
  "share polygons",
  "share box",
  "whole",
  "value",
  "file",
] as const;
export type Form = (typeof forms)[number];

/** One object's mask as it was annotated. */
export interface Shape {
  readonly form: Form;
  readonly parts: readonly ArrayLike<number>[];
}

/** Values of a picture whose pixels say which object they belong to, row-major. */
export interface LabelMap extends Frame {
  readonly values: ArrayLike<number>;
  /** the largest value that greys and indices can have, which means "nothing" by custom */
  readonly highest: number | undefined;
}

/** The files beside a picture that its objects need. */
export interface MaskFiles {
  readonly map: LabelMap | undefined;
  /** by the number in the form `file` */
  readonly masks: ReadonlyMap<number, Rle>;
}

/** The shape of object k. */
export function shapeOf(index: PackedIndex, object: number): Shape {
  const { partEnds, numberEnds, numbers } = index;
  const parts: number[][] = [];
  for (let part = startOf(partEnds, object); part < partEnds[object]!; part += 1) {
    const [begin, end] = [startOf(numberEnds, part), numberEnds[part]!];
    const list: number[] = [];
    for (let at = begin; at < end; at += 1) list.push(numbers.values[at]! / numbers.unit);
    parts.push(list);
  }
  return { form: forms[index.objectForms[object]!]!, parts };
}

/** Numbers of the objects of an image. */
export function objectRange(index: PackedIndex, image: number): readonly [number, number] {
  return [startOf(index.objectEnds, image), index.objectEnds[image]!];
}

/**
 * The objects of one image; masks are drawn when somebody asks for their pixels. A mask without
 * a pixel is no object.
 */
export function objectsOf(
  index: PackedIndex,
  image: number,
  frame: Frame,
  files: MaskFiles,
): SceneObject[] {
  const { maps } = index;
  if (maps?.unlisted && files.map) return mappedObjects(maps, files.map);
  const values = files.map && runsOf(files.map, maps!.ignore);
  const [begin, end] = objectRange(index, image);
  const objects: SceneObject[] = [];
  for (let k = begin; k < end; k += 1) {
    const shape = shapeOf(index, k);
    const outline = outlineOf(shape, frame);
    const rle = draw(
      outline ? { form: "polygons", parts: outline } : shape,
      frame,
      values,
      files.masks,
    );
    const score = index.scores[k];
    const object = objectFromRuns(rle, { id: index.ids[k], label: index.labels[k], score });
    if (object.area > 0) objects.push(outline ? { ...object, outline } : object);
  }
  return objects;
}

/** The polygons of a shape, pixels; undefined where it has none. */
function outlineOf({ form, parts }: Shape, { width, height }: Frame): number[][] | undefined {
  if (form === "polygons") return parts as number[][];
  if (form !== "share polygons") return undefined;
  return parts.map((part) => scaled(part, width, height));
}

function runsOf(map: LabelMap, ignore: readonly number[]): Map<number, Rle> {
  const { highest } = map;
  return runsOfValues(
    map.values,
    map,
    new Set(highest === undefined ? ignore : [...ignore, highest]),
  );
}

function mappedObjects({ ignore, labels }: LabelMaps, map: LabelMap): SceneObject[] {
  return [...runsOf(map, ignore)]
    .toSorted(([a], [b]) => a - b)
    .map(([value, rle]) => objectFromRuns(rle, { id: value, label: labels.get(value) ?? -1 }));
}

function draw(
  { form, parts }: Shape,
  { width, height }: Frame,
  values: ReadonlyMap<number, Rle> | undefined,
  masks: ReadonlyMap<number, Rle>,
): Rle {
  const [first = []] = parts;
  switch (form) {
    case "polygons":
      return polygonRle(parts as number[][], width, height);
    case "runs":
      return checkedRle(Array.from(first), width, height);
    case "box":
      return boxRle(first, width, height);
    case "share box":
      return boxRle(scaled(first, width, height), width, height);
    case "whole":
      return boxRle([0, 0, width, height], width, height);
    case "value": {
      const [value = 0, ...box] = first as number[];
      return (
        maskOf(value, box, values) ??
        (box.length > 0 ? boxRle(box, width, height) : empty(width, height))
      );
    }
    case "file":
      return masks.get(first[0]!) ?? empty(width, height);
    case "share polygons": // were made polygons before
    default:
      throw new Error(`internal: no way to draw ${form}`);
  }
}

/** Least overlap at which a box of the annotations and that of a mask mean one object. */
const SAME = 0.5;

/**
 * The mask of an object that has a value of the label map and maybe a box. Where the two disagree
 * the box is believed: not everybody numbers objects in the order in which they are listed.
 */
function maskOf(
  value: number,
  box: readonly number[],
  values: ReadonlyMap<number, Rle> | undefined,
): Rle | undefined {
  const listed = values?.get(value);
  const [x, y, width, height] = box;
  if (!values || x === undefined || y === undefined || width === undefined || height === undefined)
    return listed;
  const overlap = (rle: Rle) => boxIou(rleBox(rle), { x, y, width, height });
  if (listed && overlap(listed) >= SAME) return listed;
  const [best] = [...values.values()].toSorted((a, b) => overlap(b) - overlap(a));
  return best && overlap(best) >= SAME ? best : undefined;
}

/**
 * Shares of the sides as pixels, to a millionth of one: a decimal number of pixels survives having
 * been divided by the side.
 */
function scaled(numbers: ArrayLike<number>, width: number, height: number): number[] {
  return Array.from(numbers, (share, at) => {
    const pixels = share * (at % 2 === 0 ? width : height);
    return Math.round(pixels * 1e6) / 1e6;
  });
}

function empty(width: number, height: number): Rle {
  return { width, height, counts: Uint32Array.of(width * height) };
}
