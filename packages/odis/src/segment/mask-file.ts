import { closeSync, openSync, readSync, writeFileSync } from "node:fs";
import { isRecord, replaceFile } from "../core/index.js";
import { NAMELESS } from "../data/index.js";
import { parseRle, type Rle, rleArea, rleBox } from "../objects/index.js";
import type { Entry, FoundEntry } from "./journal.js";
import type { Provenance } from "./maker.js";

/** What a file of masks says of itself, under `info.odis`. */
export interface MaskFileInfo {
  readonly version: 1;
  readonly makers: readonly Provenance[];
  /** the pictures, as the command line names them */
  readonly data: string;
  /** what was done with what the makers found */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
}

/** Text that is gathered before it is written, characters. */
const PIECE = 1 << 20;

/**
 * Writes COCO's instances format: images by their keys, masks as compressed run lengths, scores.
 * Memory does not grow with the number of images.
 *
 * @param entries walks over all pictures in order, twice
 */
export function writeMaskFile(
  path: string,
  info: Omit<MaskFileInfo, "skipped">,
  entries: () => Iterable<Entry>,
): void {
  const { classes, hasNameless } = labelsOf(entries());
  const skipped = [...skippedOf(entries())];
  replaceFile(path, (descriptor) => {
    let text = "";
    const write = (more: string, force = false) => {
      text += more;
      if (text.length < PIECE && !force) return;
      writeFileSync(descriptor, text);
      text = "";
    };
    const about = { description: "Object masks made by odis", odis: { ...info, skipped } };
    write(`{"info":${JSON.stringify(about)},\n"categories":[`);
    const names = [...classes, ...(hasNameless ? [NAMELESS] : [])];
    write(names.map((name, index) => JSON.stringify({ id: index + 1, name })).join(","));
    write(`],\n"images":[`);
    list(imagesOf(entries()), write);
    write(`],\n"annotations":[`);
    list(annotationsOf(entries(), classes.length), write);
    write("]}\n", true);
  });
}

function list(records: Iterable<object>, write: (text: string) => void): void {
  let separator = "\n";
  for (const record of records) {
    write(separator + JSON.stringify(record));
    separator = ",\n";
  }
}

function labelsOf(entries: Iterable<Entry>) {
  let classes: readonly string[] = [];
  let hasNameless = false;
  for (const entry of foundOf(entries)) {
    if ((entry.classes?.length ?? 0) > classes.length) classes = entry.classes!;
    hasNameless ||= entry.objects.some(([, label]) => label < 0);
  }
  return { classes, hasNameless };
}

function* skippedOf(entries: Iterable<Entry>) {
  for (const entry of entries)
    if ("skipped" in entry) yield { key: entry.key, reason: entry.skipped };
}

function* foundOf(entries: Iterable<Entry>): Generator<FoundEntry> {
  for (const entry of entries) if (!("skipped" in entry)) yield entry;
}

function* imagesOf(entries: Iterable<Entry>) {
  for (const { image, key, width, height } of foundOf(entries))
    yield { id: image + 1, file_name: key, width, height };
}

function* annotationsOf(entries: Iterable<Entry>, classes: number) {
  let id = 0;
  for (const { image, width, height, objects } of foundOf(entries)) {
    for (const [score, label, runs] of objects) {
      const rle = runsOf(runs, width, height);
      const box = rleBox(rle);
      yield {
        id: (id += 1),
        image_id: image + 1,
        category_id: label >= 0 ? label + 1 : classes + 1,
        bbox: [box.x, box.y, box.width, box.height],
        area: rleArea(rle),
        iscrowd: 0,
        score,
        segmentation: { size: [height, width], counts: runs },
      };
    }
  }
}

const runsOf = (counts: string, width: number, height: number): Rle =>
  parseRle({ size: [height, width], counts }, width, height);

/** The first line of a file of masks is no longer, bytes. */
const LONGEST_HEAD = 1 << 24;

/** What a file of masks that odis wrote says of itself; undefined for any other file. */
export function readMaskInfo(path: string): MaskFileInfo | undefined {
  const descriptor = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(LONGEST_HEAD);
    const got = readSync(descriptor, bytes, 0, LONGEST_HEAD, 0);
    const end = bytes.indexOf(",\n");
    if (end < 0 || end >= got) return undefined;
    const head: unknown = JSON.parse(`${bytes.toString("utf8", 0, end)}}`);
    const info = isRecord(head) && isRecord(head["info"]) ? head["info"]["odis"] : undefined;
    return isRecord(info) && info["version"] === 1 ? (info as unknown as MaskFileInfo) : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
