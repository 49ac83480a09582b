import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import {
  BadImageError,
  checkReplaceable,
  counted,
  DataError,
  grouped,
  isRecord,
  lock,
  makeFolder,
  plain,
  RunError,
  statOf,
} from "../core/index.js";
import { type DataSource, type Sample, toldNow } from "../data/index.js";
import {
  boxRle,
  formatCounts,
  objectFromRuns,
  rleFromMask,
  runsOfObject,
  type SceneObject,
} from "../objects/index.js";
import { degradeObjects, type MaskConfig } from "../views/index.js";
import { type Candidate, cleaned, type CleanSettings } from "./clean.js";
import type { Corners, Found, Picture } from "./found.js";
import { type Entry, Journal } from "./journal.js";
import type { MakerSpec, Provenance } from "./maker.js";
import { readMaskInfo, writeMaskFile } from "./mask-file.js";
import { type Looker, openLooker } from "./remote.js";

export interface MakeMasksOptions {
  readonly source: DataSource;
  /** the source as a command line names it */
  readonly data: string;
  readonly spec: MakerSpec;
  /** file to write, in COCO's instances format; what was found so far lies beside it meanwhile */
  readonly out: string;
  readonly clean: CleanSettings;
  /** mistakes that are added on purpose, as a poor detector makes them */
  readonly degrade: MaskConfig;
  /** boxes to draw masks in, by the pictures' keys; undefined for pictures without any */
  readonly prompts?: ((key: string) => readonly Corners[] | undefined) | undefined;
  /** where they come from, for the file */
  readonly promptsFrom?: string | undefined;
  /** processes that look for objects at a time */
  readonly jobs: number;
  /** seconds that one picture may take */
  readonly patience: number;
  /** share of the pictures that may turn out unusable */
  readonly maxBad: number;
  /** asked before each picture, and before each maker but the first */
  readonly stop?: { requested(): Promise<boolean> };
  readonly onProgress?: (progress: MaskProgress) => void;
  /** the script of a maker's process; tests give the built one */
  readonly child?: URL;
}

export interface MaskProgress {
  readonly done: number;
  readonly of: number;
  readonly objects: number;
  readonly skipped: number;
}

export interface MadeMasks extends MaskProgress {
  readonly finished: boolean;
  /** false when the file was there already, of the same job */
  readonly fresh: boolean;
  /** the first pictures that could not be used, and why */
  readonly reasons: readonly string[];
}

/** So many pictures in a row that all fail are no accident. */
const ALL_FAIL = 20;
/** Reasons that are kept to be shown. */
const SHOWN = 5;

/**
 * Looks for objects in every picture of a data set and writes them as a file of masks. Work that
 * was interrupted goes on where it stood.
 *
 * @throws ConfigError, DataError, OdisError: what can be known is checked before the first picture;
 *   RunError when the file, or what was begun of it, is of another job
 */
export async function makeMasks(options: MakeMasksOptions): Promise<MadeMasks> {
  const { out, source, spec, stop } = options;
  makeFolder(dirname(out));
  checkReplaceable(out);
  using _lock = lock(`${out}.lock`, `file of masks ${plain(out)}`);
  const makers: Looker[] = [];
  try {
    const openOne = async () => makers.push(await openLooker(spec, options));
    await openOne().catch(unlessStopped(stop));
    if (!makers[0]) return { ...nothing, of: source.size, finished: false, fresh: true };
    const { provenance } = makers[0];
    const job = jobOf(options, provenance);
    if (isMade(out, job)) return { ...nothing, of: source.size };
    using journal = Journal.open(`${out}.part`, job, inTodaysWords);
    const wanted = Math.min(options.jobs, source.size - journal.images);
    while (makers.length < wanted && !(await stop?.requested()))
      await openOne().catch(unlessStopped(stop));
    const tally = new Tally(journal, source.size, options);
    const finished = await lookAtAll(options, makers, journal, tally);
    journal.flush();
    if (finished) {
      const { data, settings } = job;
      const info = { version: 1 as const, makers: [provenance], data, settings };
      writeMaskFile(out, info, () => journal.entries());
      rmSync(journal.path);
    }
    return { ...tally.progress(), finished, fresh: true, reasons: tally.reasons };
  } finally {
    for (const maker of makers) await maker.close();
  }
}

/** Whoever signals this process may signal those of the makers, too: that they end then is no error. */
const unlessStopped = (stop: MakeMasksOptions["stop"]) => async (error: unknown) => {
  if (!(await stop?.requested())) throw error;
};

/** What decides the result. */
function jobOf(
  { data, source, clean, degrade, promptsFrom }: MakeMasksOptions,
  provenance: Provenance,
) {
  const settings = {
    ...clean,
    degrade,
    ...(promptsFrom === undefined ? {} : { boxes: promptsFrom }),
  };
  return { odis: "masks", version: 1, data, size: source.size, maker: provenance, settings };
}

const nothing = { done: 0, objects: 0, skipped: 0, finished: true, fresh: false, reasons: [] };

/** A job that an earlier release has written down: it may have named its data in another way. */
function inTodaysWords<T>(job: T): T {
  return isRecord(job) && typeof job["data"] === "string"
    ? { ...job, data: toldNow(job["data"]) }
    : job;
}

/** @throws RunError when the file is there and is another one */
function isMade(out: string, { maker, data, settings }: ReturnType<typeof jobOf>): boolean {
  if (statOf(out) === undefined || statOf(`${out}.part`) !== undefined) return false;
  const made = inTodaysWords(readMaskInfo(out));
  const same = (a: unknown, b: unknown) => isDeepStrictEqual(a, JSON.parse(JSON.stringify(b)));
  if (
    made &&
    same({ ...made, skipped: 0 }, { version: 1, makers: [maker], data, settings, skipped: 0 })
  )
    return true;
  throw new RunError(
    `--out ${plain(out)}: the file is there already, with other masks. Choose another name, or delete it`,
  );
}

/** @returns false when it was asked to stop */
async function lookAtAll(
  options: MakeMasksOptions,
  makers: readonly Looker[],
  journal: Journal,
  tally: Tally,
): Promise<boolean> {
  const { source, stop } = options;
  const first = journal.images;
  // Each maker takes every so-manieth picture, so that their order is that of the data set.
  const waiting: Promise<Looked>[] = [];
  const start = (image: number) => lookAt(options, makers[(image - first) % makers.length]!, image);
  let next = first;
  while (journal.images < source.size) {
    if (await stop?.requested()) next = source.size; // what is being looked at comes to its end
    while (waiting.length < makers.length && next < source.size) {
      const looked = start(next);
      looked.catch(() => undefined); // it is awaited later; until then nobody listens
      waiting.push(looked);
      next += 1;
    }
    const looked = await waiting.shift()?.catch(unlessStopped(stop));
    // A picture on which a maker failed that may have been signalled is looked at once more, and all after it.
    if (!looked || ("skipped" in looked.entry && (await stop?.requested()))) {
      await Promise.allSettled(waiting);
      return false;
    }
    const { entry, classes } = looked;
    const whole = classes.length > tally.classes.length ? { ...entry, classes } : entry;
    journal.append(whole);
    tally.add(whole);
  }
  return true;
}

interface Looked {
  readonly entry: Entry;
  readonly classes: readonly string[];
}

async function lookAt(
  { source, prompts, clean, degrade }: MakeMasksOptions,
  maker: Looker,
  image: number,
): Promise<Looked> {
  const key = source.key(image);
  try {
    const sample = await source.read(image);
    const { width, height, objects: own } = sample;
    const annotated = { objects: own, classes: source.classes };
    const query = { key, annotated, ...(prompts ? { prompts: prompts(key) ?? [] } : {}) };
    const { found, classes } = await maker.find(sample, query);
    const kept = cleaned(
      found.map((one) => candidate(one, sample)),
      clean,
      sample,
    );
    const objects = worsened(kept, sample, degrade);
    return { entry: { image, key, width, height, objects }, classes };
  } catch (error) {
    if (!(error instanceof BadImageError)) throw error;
    return { entry: { image, key, skipped: error.reason }, classes: [] };
  }
}

/** Whoever gives no mask is taken at its box; what lies outside of the picture has none. */
function candidate({ score, label, box, mask }: Found, picture: Picture): Candidate {
  const share = Math.min(Math.max(score, 0), 1);
  return { score: share, label, mask: mask ?? filled(box, picture) };
}

function filled(box: Corners | undefined, { width, height }: Picture) {
  const [x0, y0, x1, y1] = box ?? [0, 0, 0, 0];
  const isEmpty = !(x1 > x0 && y1 > y0) || [x0, y0, x1, y1].some((side) => Math.abs(side) > 1e8);
  if (isEmpty) return rleFromMask(new Uint8Array(width * height), width, height);
  return boxRle([x0, y0, x1 - x0, y1 - y0], width, height);
}

function worsened(kept: readonly Candidate[], sample: Sample, degrade: MaskConfig) {
  const objects = kept.map(({ mask, score, label }, id) =>
    objectFromRuns(mask, { id, label, score }),
  );
  const seen = degradeObjects({ ...sample, objects }, degrade).objects;
  return seen.map((object) => {
    const runs = formatCounts(runsOfObject(object, sample).counts);
    return [rounded(object), object.label, runs] as const;
  });
}

/** Five digits: more would only make the file larger. A false object is sure of nothing. */
const rounded = ({ score = 0 }: SceneObject): number => Math.round(score * 1e5) / 1e5;

/** What became of the pictures so far. */
class Tally {
  private done = 0;
  private objects = 0;
  private skipped = 0;
  private readonly first: string[] = [];
  private named: readonly string[] = [];

  constructor(
    journal: Journal,
    private readonly size: number,
    private readonly options: Pick<MakeMasksOptions, "maxBad" | "onProgress">,
  ) {
    for (const entry of journal.entries()) this.count(entry);
  }

  get reasons(): readonly string[] {
    return this.first;
  }

  /** Names of the labels: a maker learns them as it goes. */
  get classes(): readonly string[] {
    return this.named;
  }

  progress(): MaskProgress {
    return { done: this.done, of: this.size, objects: this.objects, skipped: this.skipped };
  }

  add(entry: Entry): void {
    this.count(entry);
    this.options.onProgress?.(this.progress());
    this.check();
  }

  private count(entry: Entry): void {
    this.done += 1;
    if ("skipped" in entry) {
      this.skipped += 1;
      if (this.first.length < SHOWN) this.first.push(`${plain(entry.key)}: ${entry.skipped}`);
      return;
    }
    this.objects += entry.objects.length;
    if (entry.classes) this.named = entry.classes;
  }

  /** @throws DataError when too many pictures cannot be used */
  private check(): void {
    const { skipped, done, size } = this;
    const tooMany = skipped > Math.max(1, this.options.maxBad * size) && skipped > 1;
    const all = skipped === done && done >= Math.min(ALL_FAIL, size);
    if (!tooMany && !all) return;
    throw new DataError(
      `${grouped(skipped)} of ${counted(done, "image")} could not be used (at most ${Math.floor(this.options.maxBad * size)} of ` +
        `${size} may; --max-bad). The first: ${this.first.join("; ")}`,
    );
  }
}
