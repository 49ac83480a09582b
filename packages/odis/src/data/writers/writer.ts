import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { once } from "node:events";
import { counted, grouped } from "../../core/index.js";
import type { Box, Frame, SceneObject } from "../../objects/index.js";
import { formatCounts, runsOfObject } from "../../objects/index.js";

/** An image on its way into a file. */
export interface WrittenImage extends Frame {
  /** of the picture's file, none twice */
  readonly name: string;
  /** without ending */
  readonly stem: string;
  readonly file: Buffer;
  readonly objects: readonly SceneObject[];
}

export interface WriteOptions {
  /** size of an archive, bytes, nearly */
  readonly shardBytes: number;
}

/** A format that data sets are written in; the reader of the same kind reads it. */
export interface Writer {
  readonly kind: string;
  /** what it can say of an object, for help */
  readonly about: string;
  /** what has to follow the place for the reader, without `#` */
  readonly readWith?: string;
  begin(out: string, classes: readonly string[], options: WriteOptions): Promise<Writing>;
}

export interface Writing {
  add(image: WrittenImage): Promise<void>;
  /** @returns what the format could not say, in sentences */
  finish(): Promise<readonly string[]>;
}

/** What an object without a class is called where every object must have one. */
const NAMELESS = "object";

/** The classes, and one more if objects without a class turn up. */
export class ClassList {
  readonly names: string[];

  constructor(classes: readonly string[]) {
    this.names = [...classes];
  }

  /** Position of an object's class. */
  of({ label }: SceneObject): number {
    if (this.names[label] !== undefined) return label;
    const known = this.names.indexOf(NAMELESS);
    return known >= 0 ? known : this.names.push(NAMELESS) - 1;
  }

  nameOf(object: SceneObject): string {
    return this.names[this.of(object)]!;
  }
}

export async function put(path: string, contents: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, contents);
}

export const putJson = (path: string, value: unknown): Promise<void> =>
  put(path, JSON.stringify(value));

export const putPicture = (
  out: string,
  folder: string,
  { name, file }: WrittenImage,
): Promise<void> => put(join(out, folder, name), file);

export const cocoBox = ({ x, y, width, height }: Box): number[] => [x, y, width, height];

/** An object's mask as COCO has it: its polygons where it was drawn with some, else run lengths. */
export function segmentation(object: SceneObject, frame: Frame): unknown {
  return object.outline ?? runLengths(object, frame);
}

export function runLengths(object: SceneObject, frame: Frame): unknown {
  return {
    size: [frame.height, frame.width],
    counts: formatCounts(runsOfObject(object, frame).counts),
  };
}

/** What label maps could not say, since a pixel has one object. */
export class Covered {
  private pixels = 0;
  private partly = 0;
  private wholly = 0;

  /**
   * Paints objects over one another, the largest first, so that small ones lie on top; of equally large
   * ones the later does.
   *
   * @param values a number a pixel, all 0; overwritten with the object's place in the list, from 1
   */
  paint<T extends Uint8Array | Uint16Array | Uint32Array>(
    values: T,
    objects: readonly SceneObject[],
  ): T {
    const places = objects.map((_, at) => at);
    const left = objects.map(({ area }) => area);
    for (const at of places.toSorted((a, b) => objects[b]!.area - objects[a]!.area))
      for (const [pixel, bit] of objects[at]!.pixels().entries()) {
        if (bit === 0) continue;
        const below = values[pixel]!;
        if (below !== 0) {
          this.pixels += 1;
          left[below - 1]! -= 1;
        }
        values[pixel] = at + 1;
      }
    for (const [at, visible] of left.entries()) {
      if (visible === 0) this.wholly += 1;
      else if (visible < objects[at]!.area) this.partly += 1;
    }
    return values;
  }

  get notes(): readonly string[] {
    if (this.pixels === 0) return [];
    const partly = `${grouped(this.pixels)} pixels belong to several objects; a label map gives them to the smallest`;
    const of = `${counted(this.partly, "object is", "objects are")} partly covered`;
    const lost = `${grouped(this.wholly)} covered as a whole, left out`;
    return [`${partly}: ${of}${this.wholly > 0 ? `, ${lost}` : ""}`];
  }
}

/** A text file that grows, without holding it in memory. */
export class TextStream {
  private readonly stream: WriteStream;
  private failure: unknown;

  constructor(path: string) {
    this.stream = createWriteStream(path);
    this.stream.on("error", (error) => {
      this.failure ??= error;
    });
  }

  async write(text: string): Promise<void> {
    if (this.failure) throw this.failure as Error;
    if (!this.stream.write(text)) await once(this.stream, "drain");
  }

  async close(): Promise<void> {
    this.stream.end();
    await once(this.stream, "close");
    if (this.failure) throw this.failure as Error;
  }
}
