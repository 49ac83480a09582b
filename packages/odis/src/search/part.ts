import { BadImageError } from "../core/index.js";
import { type DataSource, readAhead, type Sample } from "../data/index.js";
import type { FeatureQuery, Teacher } from "../features/index.js";
import { formatCounts, runsOfObject, type SceneObject } from "../objects/index.js";
import { type ImageLine, joined, type ObjectLine, type Shard } from "./shard.js";

/** What became of images. */
export interface Counts {
  readonly done: number;
  readonly objects: number;
  readonly skipped: number;
  /** objects that no pixel of the frame shows; they have no vector */
  readonly unseen: number;
}

export const noImages: Counts = { done: 0, objects: 0, skipped: 0, unseen: 0 };

export const sumOf = (a: Counts, b: Counts): Counts => ({
  done: a.done + b.done,
  objects: a.objects + b.objects,
  skipped: a.skipped + b.skipped,
  unseen: a.unseen + b.unseen,
});

export interface PartWork {
  readonly source: DataSource;
  readonly teacher: Teacher;
  /** whether patches are kept, too */
  readonly patches: boolean;
  /** asked between two images: whether to end */
  readonly stop: (settled: number) => Promise<boolean>;
  /** told of each image */
  readonly onImage: (counts: Counts) => void;
}

/** A shard as far as it was made. */
export interface Part {
  readonly shard: Shard;
  /** false when it was asked to stop before the last image */
  readonly isWhole: boolean;
  /** of the images that this call has added */
  readonly counts: Counts;
  /** why images could not be used */
  readonly reasons: readonly string[];
}

/** Pictures that are decoded while the engine works. */
const TOGETHER = 8;
/** Vectors computed at a time, and bytes of pictures kept for them: more are no faster. */
const [QUERIES, BYTES] = [128, 2 ** 28];

/**
 * Computes a shard's vectors, or goes on with those of one that was stopped. What is computed together
 * depends on the shard's images alone, so a stopped one ends where such a batch does: its vectors are
 * then, to the bit, those of one that was not.
 *
 * Decoded pictures of one batch lie in memory, up to 256 MB and one picture, and all that the shard keeps.
 *
 * @param begun what there is of it
 * @param images the rest, indices of the source
 * @throws whatever the source throws, but for images that cannot be read: they are told of in the shard
 */
export async function makePart(
  { source, teacher, patches, stop, onImage }: PartWork,
  begun: Shard | undefined,
  images: readonly number[],
): Promise<Part> {
  const shard = new GrowingShard(teacher, patches, begun);
  const read = async (image: number): Promise<Sample | BadImageError> => {
    try {
      return await source.read(image);
    } catch (error) {
      if (error instanceof BadImageError) return error;
      throw error;
    }
  };
  for await (const [image, sample] of readAhead(images, read, TOGETHER)) {
    if (await stop(shard.settled)) return { ...shard.result(), isWhole: false };
    const key = source.key(image);
    if (sample instanceof BadImageError) shard.skip(key, sample);
    else {
      const objects = sample.objects.filter(
        (object) => object.area > 0 && teacher.sees(sample, object),
      );
      const { width, height } = sample;
      const entries = objects.map((object) => objectLine(object, sample, source.classes));
      shard.add(sample, objects, { image: key, width, height, objects: entries });
    }
    onImage(shard.counts);
  }
  shard.settle();
  return { ...shard.result(), isWhole: true };
}

function objectLine(object: SceneObject, frame: Sample, classes: readonly string[]): ObjectLine {
  const { id, box, label, score } = object;
  const name = classes[label];
  return {
    id,
    box: [box.x, box.y, box.width, box.height],
    rle: formatCounts(runsOfObject(object, frame).counts),
    ...(name === undefined ? {} : { class: name }),
    ...(score === undefined ? {} : { score }),
  };
}

/** Collects what is asked of the network, so that it works on many at once. */
class GrowingShard {
  private readonly lines: ImageLine[];
  private readonly images: Float32Array[];
  private readonly objects: Float32Array[];
  private readonly patches: Uint16Array[];
  private readonly reasons: string[] = [];
  private waiting: FeatureQuery[] = [];
  private bytes = 0;
  /** of all that was given, and of that whose vectors are there */
  private given = noImages;
  private counted = noImages;
  private lasting = { lines: 0, reasons: 0 };

  constructor(
    private readonly teacher: Teacher,
    private readonly keepsPatches: boolean,
    begun: Shard | undefined,
  ) {
    this.lines = [...(begun?.lines ?? [])];
    this.images = begun ? [begun.images] : [];
    this.objects = begun ? [begun.objects] : [];
    this.patches = [...(begun?.patches ?? [])];
    this.lasting = { lines: this.lines.length, reasons: 0 };
  }

  get counts(): Counts {
    return this.given;
  }

  /** Images whose vectors are there, and were not before. */
  get settled(): number {
    return this.counted.done;
  }

  skip(image: string, { reason, message }: BadImageError): void {
    this.lines.push({ image, skipped: reason });
    this.reasons.push(message);
    this.given = sumOf(this.given, { ...noImages, done: 1, skipped: 1 });
  }

  add(sample: Sample, objects: readonly SceneObject[], line: ImageLine): void {
    this.lines.push(line);
    const unseen = sample.objects.length - objects.length;
    this.given = sumOf(this.given, { done: 1, objects: objects.length, skipped: 0, unseen });
    this.waiting.push({ sample }, ...objects.map((object) => ({ sample, object })));
    this.bytes += sample.rgb.length;
    if (this.waiting.length >= QUERIES || this.bytes >= BYTES) this.settle();
  }

  /** Computes all that waits. */
  settle(): void {
    const { width } = this.teacher;
    if (this.waiting.length > 0) {
      const { features: all, patches } = this.keepsPatches
        ? this.teacher.featuresAndPatches(this.waiting)
        : { features: this.teacher.featuresOf(this.waiting), patches: [] };
      for (const [row, { object }] of this.waiting.entries())
        this[object ? "objects" : "images"].push(all.subarray(row * width, (row + 1) * width));
      this.patches.push(...patches);
    }
    this.waiting = [];
    this.bytes = 0;
    this.counted = this.given;
    this.lasting = { lines: this.lines.length, reasons: this.reasons.length };
  }

  result(): Omit<Part, "isWhole"> {
    return {
      shard: {
        lines: this.lines.slice(0, this.lasting.lines),
        images: joined(this.images),
        objects: joined(this.objects),
        ...(this.keepsPatches ? { patches: this.patches } : {}),
      },
      counts: this.counted,
      reasons: this.reasons.slice(0, this.lasting.reasons),
    };
  }
}
