import { existsSync } from "node:fs";
import { rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, extname, resolve } from "node:path";
import {
  BadImageError,
  checkNewFolder,
  checkWritable,
  ConfigError,
  DataError,
  grouped,
  makeFolder,
  plain,
} from "../core/index.js";
import type { OpenSource, Sample } from "./dataset.js";
import { isOrdinary } from "./decode.js";
import { isPicture } from "./place.js";
import { encodePng } from "./png.js";
import { type WrittenImage, type WriteOptions, writers } from "./writers/index.js";

export interface ConvertOptions extends Partial<WriteOptions> {
  /** a kind of `writers` */
  readonly to: string;
  /** a folder that does not exist yet, or is empty */
  readonly out: string;
  readonly onProgress?: (done: number, of: number) => void;
  readonly signal?: AbortSignal;
}

export interface Converted {
  readonly images: number;
  readonly objects: number;
  /** images that could not be read */
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
  /** what the format cannot say, in sentences */
  readonly notes: readonly string[];
}

/**
 * Writes a data set in another format. Pictures are copied as they are where their file says the same
 * as their pixels, and as PNG otherwise (photographs that were turned, CMYK, floats). The folder is
 * written beside and renamed, so that there is never half of it.
 *
 * @throws ConfigError for an unknown format, RunError when the folder holds something, DataError when
 *   no image can be read
 */
export async function convert(source: OpenSource, options: ConvertOptions): Promise<Converted> {
  const writer = writers.find(({ kind }) => kind === options.to);
  if (!writer)
    throw new ConfigError(
      `data cannot be written as ${plain(JSON.stringify(options.to))}; wanted one of ${writers.map(({ kind }) => kind).join(", ")}`,
    );
  const out = resolve(options.out);
  checkNewFolder(out);
  checkWritable(dirname(out), "folder", "Choose another place.");
  const partial = `${out}.partial-${process.pid}`;
  try {
    makeFolder(partial);
    const writing = await writer.begin(partial, source.classes, {
      shardBytes: options.shardBytes ?? 1 << 29,
    });
    const counts = { images: 0, objects: 0 };
    const skipped: { key: string; reason: string }[] = [];
    const names = new Names();
    for (let index = 0; index < source.size; index += 1) {
      options.signal?.throwIfAborted();
      try {
        const sample = await source.read(index);
        const file = await fileOf(source, index, sample);
        const name = names.unique(sample.key, extensionOf(file), index);
        await writing.add(written(name, file, sample));
        counts.images += 1;
        counts.objects += sample.objects.length;
      } catch (error) {
        if (!(error instanceof BadImageError)) throw error;
        skipped.push({ key: error.key, reason: error.reason });
      }
      options.onProgress?.(index + 1, source.size);
    }
    if (counts.images === 0)
      throw new DataError(
        `none of ${grouped(source.size)} images can be read: ${skipped[0]?.reason ?? ""}`,
      );
    const notes = await writing.finish();
    if (existsSync(out)) await rmdir(out); // empty, as was checked
    await rename(partial, out);
    return { ...counts, skipped, notes };
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

function written(name: string, file: Buffer, { width, height, objects }: Sample): WrittenImage {
  return { name, stem: basename(name, extname(name)), file, width, height, objects };
}

/** The file as it is, where decoding it anywhere gives these pixels. */
async function fileOf(source: OpenSource, index: number, sample: Sample): Promise<Buffer> {
  const file = await source.file?.(index);
  if (file && isOrdinary(file)) return file;
  return encodePng(sample.rgb, sample.width, sample.height);
}

const extensionOf = (file: Buffer): string => (file[0] === 0xff ? ".jpg" : ".png");

/** File names of the pictures, none twice. */
class Names {
  private readonly used = new Set<string>();

  /** @param ending for a picture whose key is no file's name, or which was written anew */
  unique(key: string, ending: string, index: number): string {
    const own = basename(key.replaceAll("\\", "/"));
    const kept = isPicture(own) && extname(own).toLowerCase().replace("jpeg", "jpg") === ending;
    const stem = (isPicture(own) ? basename(own, extname(own)) : own).replace(
      /[^\p{L}\p{N}._-]+/gu,
      "-",
    );
    const chosen = this.used.has(stem.toLowerCase()) ? `${stem}-${index}` : stem;
    this.used.add(chosen.toLowerCase());
    return `${chosen}${kept ? extname(own) : ending}`;
  }
}
