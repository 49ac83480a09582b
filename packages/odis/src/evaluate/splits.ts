import { DataError, plain, Rng } from "../core/index.js";
import {
  type DataSource,
  type DataSpec,
  openSource,
  pictureGroups,
  type Sample,
  withWholes,
} from "../data/index.js";
import { pictureOf } from "../features/index.js";
import type { World } from "../train/index.js";

/** What an evaluation compares; JSON. Without test data a fifth of the images is held out. */
export interface EvaluationData {
  readonly train: DataSpec;
  readonly test?: DataSpec | undefined;
}

export interface Splits {
  readonly train: DataSource;
  readonly test: DataSource;
  /**
   * where images were held out: those that went with another one, because both show the same
   * picture; indices in the data set
   */
  readonly moved: readonly number[];
}

export interface SplitOptions {
  /** images that will be read of each split at most */
  readonly limit?: number | undefined;
  /** what an earlier call found out; without it the files are read once to see which are the same */
  readonly moved?: readonly number[] | undefined;
}

const heldOut = 0.2;

/**
 * Opens both splits. The images held out are the same at every call, and no picture is on both
 * sides: images that show the same one go together.
 */
export async function openSplits(
  { train, test }: EvaluationData,
  options: SplitOptions = {},
): Promise<Splits> {
  // Objects without a class can be looked at, too: pictures alone are one each.
  const source = await openSource(withWholes(train));
  if (test) return { train: source, test: await openSource(withWholes(test)), moved: [] };
  if (source.size < 2)
    throw new DataError(
      `evaluation: the data set has ${source.size} image; wanted 2 or more, so that some can be ` +
        `held out, or test data of its own.`,
    );
  const order = [...new Rng("held out").permutation(source.size)];
  const size = Math.max(1, Math.round(heldOut * source.size));
  const [held, kept] = [order.slice(0, size), order.slice(size)];
  const moved = options.moved ?? (await sameAsHeld(source, held, kept, options.limit));
  const isMoved = new Set(moved);
  return {
    train: subset(
      source,
      kept.filter((index) => !isMoved.has(index)),
    ),
    test: subset(source, [...held, ...moved]),
    moved,
  };
}

/**
 * The same by several processes: which images show the same picture the first finds out for all, because
 * it has to read every file.
 */
export async function openSplitsTogether(
  world: World,
  data: EvaluationData,
  options: SplitOptions = {},
): Promise<Splits> {
  const isKnown = data.test !== undefined || options.moved !== undefined;
  const own = async () => (isKnown || world.rank === 0 ? openSplits(data, options) : undefined);
  const opened = await world.together(own());
  const moved = world.fromFirst(opened?.moved ?? []);
  const others = async () => opened ?? openSplits(data, { ...options, moved });
  return world.together(others());
}

/** Kept images that show the picture of a held one, among those that will be read. */
async function sameAsHeld(
  source: DataSource,
  held: readonly number[],
  kept: readonly number[],
  limit = source.size,
): Promise<readonly number[]> {
  const [tested, others] = [held.slice(0, limit), kept.slice(0, limit)];
  const pictures = await pictureGroups(source, [...tested, ...others]);
  const shown = new Set(pictures.subarray(0, tested.length));
  return others.filter((_, at) => shown.has(pictures[tested.length + at]!));
}

/** A source that does not tell which images show the same picture: their pixels are compared then. */
export function byPixels(source: DataSource): DataSource {
  return {
    size: source.size,
    classes: source.classes,
    key: (index) => source.key(index),
    read: (index) => source.read(index),
  };
}

/** Some images of a source, in the order given. */
export function subset(source: DataSource, indices: readonly number[]): DataSource {
  return {
    size: indices.length,
    classes: source.classes,
    key: (index) => source.key(indices[index]!),
    read: (index) => source.read(indices[index]!),
    picture: (index) => pictureOf(source, indices[index]!),
  };
}

/** Test data with the labels of the train data. */
export interface Relabelled {
  readonly source: DataSource;
  /** classes of the test data that the train data does not have: nobody can answer with them */
  readonly unknown: readonly string[];
}

/**
 * Labels are indices, and two data sets may list their classes in different orders: they are
 * matched by their names.
 *
 * @throws DataError when no class is in both
 */
export function relabelled(test: DataSource, classes: readonly string[]): Relabelled {
  const labels = test.classes.map((name) => classes.indexOf(name));
  const same = labels.every((label, at) => label === at);
  if (same) return { source: test, unknown: [] };
  if (labels.every((label) => label < 0))
    throw new DataError(
      `evaluation: train and test data have no class in common: train has ${listed(classes)}, test has ` +
        `${listed(test.classes)}. Classes are matched by their names; give both annotation files the ` +
        `same ones.`,
    );
  const relabel = (sample: Sample): Sample => ({
    ...sample,
    objects: sample.objects.map((object) => ({
      id: object.id,
      label: labels[object.label] ?? -1,
      area: object.area,
      box: object.box,
      pixels: object.pixels.runs ? object.pixels : () => object.pixels(),
    })),
  });
  return {
    source: {
      size: test.size,
      classes,
      key: (index) => test.key(index),
      read: async (index) => relabel(await test.read(index)),
      picture: (index) => pictureOf(test, index),
    },
    unknown: test.classes.filter((_, at) => labels[at]! < 0),
  };
}

/** The first names of a list, shortened: annotation files are strangers' texts. */
function listed(names: readonly string[]): string {
  if (names.length === 0) return "none";
  const first = names.slice(0, 5).map((name) => JSON.stringify(plain(name)));
  return first.join(", ") + (names.length > 5 ? `, … (${names.length})` : "");
}
