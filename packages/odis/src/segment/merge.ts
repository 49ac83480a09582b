import { ConfigError, plain } from "../core/index.js";
import { type MaskSet, masksOf, openMasks } from "../data/index.js";
import { formatCounts, runsOfObject } from "../objects/index.js";
import { type Candidate, cleaned, type CleanSettings } from "./clean.js";
import type { Corners } from "./found.js";
import type { Entry } from "./journal.js";
import type { Provenance } from "./maker.js";
import { readMaskInfo, writeMaskFile } from "./mask-file.js";

export interface MergeOptions {
  /** files of masks of the same pictures */
  readonly files: readonly string[];
  readonly out: string;
  readonly clean: CleanSettings;
}

export interface Merged {
  readonly images: number;
  readonly objects: number;
  /** that were in the files */
  readonly before: number;
}

/**
 * Puts what several makers found into one file: of masks that overlap more than the setting allows
 * the surest stays, whoever found it. Pictures are matched by their names, classes by theirs.
 *
 * @throws DataError for a file that holds no masks, ConfigError for two that disagree about a picture
 */
export async function mergeMasks({ files, out, clean }: MergeOptions): Promise<Merged> {
  const sets: (MaskSet & { readonly file: string })[] = [];
  for (const file of files) sets.push({ file, ...(await openMasks(file)) });
  const names = new Map<string, number>();
  for (const { index } of sets)
    for (const name of index.classes) if (!names.has(name)) names.set(name, names.size);
  const keys = new Map<string, { width: number; height: number; file: string }>();
  for (const { file, index, keys: own } of sets) {
    for (const [key, image] of own) {
      const frame = { width: index.widths[image]!, height: index.heights[image]!, file };
      const known = keys.get(key) ?? frame;
      keys.set(key, known);
      if (known.width !== frame.width || known.height !== frame.height)
        throw new ConfigError(
          `image ${plain(key)} has ${known.width} × ${known.height} pixels in ${plain(known.file)} and ` +
            `${frame.width} × ${frame.height} in ${plain(file)}; wanted masks of the same pictures`,
        );
    }
  }
  let [objects, before] = [0, 0];
  const entries: Entry[] = [...keys].map(([key, frame], image) => {
    const found = sets.flatMap((set): Candidate[] => {
      const at = set.find(key);
      if (at === undefined) return [];
      return masksOf(set, at, frame).map((object) => ({
        score: object.score ?? 1,
        label: object.label < 0 ? -1 : names.get(set.index.classes[object.label]!)!,
        mask: runsOfObject(object, frame),
      }));
    });
    const kept = cleaned(found, clean, frame);
    [objects, before] = [objects + kept.length, before + found.length];
    return {
      image,
      key,
      width: frame.width,
      height: frame.height,
      objects: kept.map(
        ({ score, label, mask }) => [score, label, formatCounts(mask.counts)] as const,
      ),
      ...(image === 0 ? { classes: [...names.keys()] } : {}),
    };
  });
  const makers: Provenance[] = [];
  let data = "";
  for (const file of files) {
    const info = readMaskInfo(file);
    makers.push(...(info?.makers ?? [{ maker: plain(file), files: [], settings: {} }]));
    data ||= info?.data ?? "";
  }
  writeMaskFile(out, { version: 1, makers, data, settings: { ...clean } }, () => entries);
  return { images: keys.size, objects, before };
}

/** The boxes of a file's objects, by the pictures' names: what Segment Anything draws masks in. */
export async function boxesIn(
  file: string,
): Promise<(key: string) => readonly Corners[] | undefined> {
  const masks = await openMasks(file);
  return (key) => {
    const at = masks.find(key);
    if (at === undefined) return undefined;
    const frame = { width: masks.index.widths[at]!, height: masks.index.heights[at]! };
    return masksOf(masks, at, frame).map(
      ({ box: { x, y, width, height } }) => [x, y, x + width, y + height] as const,
    );
  };
}
