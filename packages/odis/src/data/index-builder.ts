import { DataError } from "../core/index.js";
import type { Archives } from "./archive.js";
import {
  forms,
  type LeftOut,
  type LabelMaps,
  type PackedIndex,
  type PictureRules,
  type Shape,
} from "./packed-index.js";
import { checkInside } from "./mistakes.js";
import { Growing, GrowingDecimals, GrowingStrings } from "./packed.js";
import { repeatedNames } from "./repeated.js";

/** One object as a reader found it. */
export interface FoundObject {
  /** stable within its image */
  readonly id: number;
  /** position in the classes; -1 where unknown */
  readonly label: number;
  readonly score?: number | undefined;
  readonly shape: Shape;
}

export interface IndexFacts {
  readonly reader: string;
  /** folder that file names are relative to, absolute */
  readonly root: string;
  /** how its annotation tools see photographs that EXIF turns; default stored */
  readonly turning?: "stored" | "turned";
}

/**
 * Collects a data set image by image and object by object, in any order, in memory that grows with
 * what is kept and not with the objects that a parser makes.
 */
export class IndexBuilder {
  private files = new GrowingStrings();
  private readonly widths = new Growing(Int32Array);
  private readonly heights = new Growing(Int32Array);
  /** by object, in the order of finding */
  private readonly images = new Growing(Int32Array);
  private readonly ids = new Growing(Float64Array);
  private readonly labels = new Growing(Int32Array);
  private readonly scores = new Growing(Float32Array);
  private readonly objectForms = new Growing(Uint8Array);
  private readonly partEnds = new Growing(Int32Array);
  private readonly numberEnds = new Growing(Int32Array);
  private readonly numbers = new GrowingDecimals();
  private readonly mapFiles = new GrowingStrings();
  private readonly maskFiles = new GrowingStrings();
  private readonly leftOut = new Map<string, LeftOut>();
  private readonly remarks: string[] = [];
  private isScored = false;

  constructor(private readonly facts: IndexFacts) {}

  get size(): number {
    return this.files.length;
  }

  get objects(): number {
    return this.ids.length;
  }

  /**
   * @param file relative to the root
   * @param size as annotated, pixels; without it the picture tells
   * @param map its label map, relative to the root
   * @returns the image's number
   */
  image(
    file: string,
    size?: { readonly width: number; readonly height: number },
    map = "",
  ): number {
    this.files.push(file);
    this.widths.push(size?.width ?? 0);
    this.heights.push(size?.height ?? 0);
    this.mapFiles.push(map);
    return this.files.length - 1;
  }

  /** Gives an image the size that its masks are for, if it has none yet. */
  measure(
    image: number,
    { width, height }: { readonly width: number; readonly height: number },
  ): void {
    if (this.widths.at(image) > 0) return;
    this.widths.put(image, width);
    this.heights.put(image, height);
  }

  /** @throws DataError when the mask lies outside of the image */
  object(image: number, { id, label, score, shape }: FoundObject): void {
    const size = { width: this.widths.at(image), height: this.heights.at(image) };
    checkInside(shape, size);
    this.images.push(image);
    this.ids.push(id);
    this.labels.push(label);
    this.scores.push(score ?? Number.NaN);
    this.isScored ||= score !== undefined;
    this.objectForms.push(forms.indexOf(shape.form));
    for (const part of shape.parts) {
      this.numbers.append(part);
      this.numberEnds.push(this.numbers.length);
    }
    this.partEnds.push(this.numberEnds.length);
    if (this.numbers.length >= 2 ** 31)
      throw new DataError(
        "the masks have more than two thousand million numbers; split the data set",
      );
  }

  /** Gives the images other files, one for each. */
  rename(files: readonly string[]): void {
    this.files = new GrowingStrings();
    for (const file of files) this.files.push(file);
  }

  /** Gives the objects other labels: that of label k becomes `labels[k]`. */
  relabel(labels: ArrayLike<number>): void {
    const old = this.labels.view();
    for (const [object, label] of old.entries()) if (label >= 0) old[object] = labels[label]!;
  }

  /** A mask that is a file of its own. @returns its number, for the form `file` */
  maskFile(file: string): number {
    this.maskFiles.push(file);
    return this.maskFiles.length - 1;
  }

  /** An annotation that becomes no object: what one is, and what many are. */
  leave(one: string, many: string, count = 1): void {
    if (count > 0)
      this.leftOut.set(many, { one, many, count: (this.leftOut.get(many)?.count ?? 0) + count });
  }

  /** Something doubtful, in a sentence. */
  remark(text: string): void {
    this.remarks.push(text);
  }

  finish(
    classes: readonly string[],
    { maps, archives }: { maps?: Omit<LabelMaps, "files">; archives?: Archives } = {},
  ): PackedIndex {
    const { reader, root, turning: otherwise = "stored" } = this.facts;
    const files = this.files.shared();
    const pictures: PictureRules = {
      color: "stored",
      exif: "annotated",
      otherwise,
      found: new Int8Array(new SharedArrayBuffer(1)),
    };
    return {
      reader,
      root,
      size: archives?.size ?? this.size,
      classes,
      files,
      archives,
      widths: this.widths.shared(),
      heights: this.heights.shared(),
      ...this.sorted(),
      maps: maps && { ...maps, files: this.mapFiles.shared() },
      maskFiles: this.maskFiles.shared(),
      pictures,
      leftOut: [...this.leftOut.values()],
      repeated: repeatedNames(files),
      remarks: this.remarks,
    };
  }

  /** Objects by image; those of one image stay in the order in which they were found. */
  private sorted() {
    const images = this.images.view();
    const objectEnds = new Int32Array(new SharedArrayBuffer(4 * this.size));
    for (const image of images) objectEnds[image]! += 1;
    for (let image = 1; image < this.size; image += 1) objectEnds[image]! += objectEnds[image - 1]!;
    const numbers = this.numbers.shared();
    const asFound = {
      objectEnds,
      ids: this.ids.shared(),
      labels: this.labels.shared(),
      scores: this.isScored ? this.scores.shared() : new Float32Array(new SharedArrayBuffer(0)),
      objectForms: this.objectForms.shared(),
      partEnds: this.partEnds.shared(),
      numberEnds: this.numberEnds.shared(),
      numbers,
    };
    if (images.every((image, at) => at === 0 || image >= images[at - 1]!)) return asFound;
    const order = inOrder(images, objectEnds);
    return { ...asFound, ...reordered(asFound, order) };
  }
}

/** Numbers of the objects, image after image (a counting sort). */
function inOrder(images: Int32Array, ends: Int32Array): Int32Array {
  const next = Int32Array.from(ends, (_, image) => (image === 0 ? 0 : ends[image - 1]!));
  const order = new Int32Array(images.length);
  for (const [object, image] of images.entries()) {
    order[next[image]!] = object;
    next[image]! += 1;
  }
  return order;
}

type Columns = Pick<
  PackedIndex,
  "ids" | "labels" | "scores" | "objectForms" | "partEnds" | "numberEnds" | "numbers"
>;

function reordered(old: Columns, order: Int32Array): Columns {
  const ids = new Growing(Float64Array);
  const labels = new Growing(Int32Array);
  const scores = new Growing(Float32Array);
  const objectForms = new Growing(Uint8Array);
  const partEnds = new Growing(Int32Array);
  const numberEnds = new Growing(Int32Array);
  const { values, unit } = old.numbers;
  const numbers = unit === 1 ? new Growing(Float64Array) : new Growing(Int32Array);
  for (const object of order) {
    ids.push(old.ids[object]!);
    labels.push(old.labels[object]!);
    if (old.scores.length > 0) scores.push(old.scores[object]!);
    objectForms.push(old.objectForms[object]!);
    for (
      let part = object === 0 ? 0 : old.partEnds[object - 1]!;
      part < old.partEnds[object]!;
      part += 1
    ) {
      numbers.append(
        values.subarray(part === 0 ? 0 : old.numberEnds[part - 1]!, old.numberEnds[part]),
      );
      numberEnds.push(numbers.length);
    }
    partEnds.push(numberEnds.length);
  }
  return {
    ids: ids.shared(),
    labels: labels.shared(),
    scores: scores.shared(),
    objectForms: objectForms.shared(),
    partEnds: partEnds.shared(),
    numberEnds: numberEnds.shared(),
    numbers: { values: numbers.shared(), unit },
  };
}
