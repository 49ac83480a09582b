import { boxRle, polygonRle, type Rle, rleObject, type SceneObject } from "../objects/index.js";

/**
 * Lists that worker threads share instead of copying: each lives on a SharedArrayBuffer, which
 * structured cloning passes by reference.
 */

/** Strings, one after the other; string i ends where i + 1 begins. */
export interface PackedStrings {
  readonly bytes: Uint8Array;
  readonly ends: Int32Array;
}

export function packStrings(strings: readonly string[]): PackedStrings {
  const parts = strings.map((text) => Buffer.from(text));
  let end = 0;
  const ends = packInts(parts.map((part) => (end += part.length)));
  const bytes = new Uint8Array(new SharedArrayBuffer(end));
  for (const [index, part] of parts.entries()) bytes.set(part, ends[index]! - part.length);
  return { bytes, ends };
}

export function stringAt({ bytes, ends }: PackedStrings, index: number): string {
  return Buffer.from(bytes.slice(startOf(ends, index), ends[index])).toString();
}

/** Where piece `index` begins, if `ends[i]` is where piece i ends and the first begins at 0. */
export function startOf(ends: Int32Array, index: number): number {
  return index === 0 ? 0 : ends[index - 1]!;
}

export function packInts(values: readonly number[]): Int32Array {
  const packed = new Int32Array(new SharedArrayBuffer(4 * values.length));
  packed.set(values);
  return packed;
}

export function packDoubles(values: readonly number[]): Float64Array {
  const packed = new Float64Array(new SharedArrayBuffer(8 * values.length));
  packed.set(values);
  return packed;
}

/** Numbers stored as `values[i] / unit`. */
export interface PackedDecimals {
  readonly values: Int32Array | Float64Array;
  readonly unit: number;
}

/** Annotations mostly have two decimals: as whole hundredths they take half the room, exactly. */
export function packDecimals(values: readonly number[]): PackedDecimals {
  const hundredths = values.map((value) => Math.round(value * 100));
  const exact = hundredths.every(
    (whole, index) => whole / 100 === values[index] && Math.abs(whole) < 2 ** 31,
  );
  return exact
    ? { values: packInts(hundredths), unit: 100 }
    : { values: packDoubles(values), unit: 1 };
}

/**
 * A COCO annotation file, checked, in flat arrays that threads share: object k of image i lies
 * between `objectEnds[i - 1]` and `objectEnds[i]`, its parts and their numbers likewise.
 */
export interface CocoIndex {
  readonly kind: "coco-index";
  /** folder of the images */
  readonly images: string;
  readonly classes: readonly string[];
  readonly files: PackedStrings;
  readonly widths: Int32Array;
  readonly heights: Int32Array;
  readonly objectEnds: Int32Array;
  readonly ids: Float64Array;
  readonly labels: Int32Array;
  /** what the numbers of an object mean: an index into {@link forms} */
  readonly objectForms: Uint8Array;
  readonly partEnds: Int32Array;
  readonly numberEnds: Int32Array;
  readonly numbers: PackedDecimals;
}

/** `polygons`: x, y pairs; `runs`: run lengths; `box`: x, y, width, height. */
export const forms = ["polygons", "runs", "box"] as const;
export type Form = (typeof forms)[number];

/** One object's mask as it was annotated. */
export interface Shape {
  readonly form: Form;
  readonly parts: readonly ArrayLike<number>[];
}

/** One image of an annotation file, with its objects. */
export interface CocoImage {
  readonly id: number | string;
  readonly file: string;
  readonly width: number;
  readonly height: number;
  readonly objects: { readonly id: number; readonly label: number; readonly shape: Shape }[];
}

export function packIndex(
  entries: readonly CocoImage[],
  classes: readonly string[],
  images: string,
): CocoIndex {
  const [objectEnds, partEnds, numberEnds]: number[][] = [[], [], []];
  const numbers: number[] = [];
  const objects = entries.flatMap((entry) => entry.objects);
  for (const entry of entries) objectEnds!.push((objectEnds!.at(-1) ?? 0) + entry.objects.length);
  for (const { shape } of objects) {
    partEnds!.push((partEnds!.at(-1) ?? 0) + shape.parts.length);
    for (const part of shape.parts) {
      for (let at = 0; at < part.length; at += 1) numbers.push(part[at]!);
      numberEnds!.push(numbers.length);
    }
  }
  const objectForms = new Uint8Array(new SharedArrayBuffer(objects.length));
  objectForms.set(objects.map(({ shape }) => forms.indexOf(shape.form)));
  return {
    kind: "coco-index",
    images,
    classes,
    files: packStrings(entries.map(({ file }) => file)),
    widths: packInts(entries.map(({ width }) => width)),
    heights: packInts(entries.map(({ height }) => height)),
    objectEnds: packInts(objectEnds!),
    ids: packDoubles(objects.map(({ id }) => id)),
    labels: packInts(objects.map(({ label }) => label)),
    objectForms,
    partEnds: packInts(partEnds!),
    numberEnds: packInts(numberEnds!),
    numbers: packDecimals(numbers),
  };
}

/** The objects of one image; masks are drawn when somebody asks for their pixels. */
export function objectsOf(index: CocoIndex, image: number): SceneObject[] {
  const objects: SceneObject[] = [];
  const [width, height] = [index.widths[image]!, index.heights[image]!];
  for (let k = startOf(index.objectEnds, image); k < index.objectEnds[image]!; k += 1) {
    const rle = draw(forms[index.objectForms[k]!]!, partsOf(index, k), width, height);
    objects.push(rleObject(index.ids[k]!, index.labels[k]!, rle));
  }
  return objects;
}

function partsOf({ partEnds, numberEnds, numbers }: CocoIndex, object: number): number[][] {
  const parts: number[][] = [];
  for (let part = startOf(partEnds, object); part < partEnds[object]!; part += 1) {
    const packed = numbers.values.subarray(startOf(numberEnds, part), numberEnds[part]);
    parts.push(Array.from(packed, (value) => value / numbers.unit));
  }
  return parts;
}

function draw(form: Form, parts: readonly number[][], width: number, height: number): Rle {
  if (form === "polygons") return polygonRle(parts, width, height);
  if (form === "box") return boxRle(parts[0], width, height);
  return { width, height, counts: Uint32Array.from(parts[0]!) };
}
