import { basename, resolve } from "node:path";
import { Cache, ConfigError, plain } from "../core/index.js";
import type { Sample } from "../data/index.js";
import type { SceneObject } from "../objects/index.js";
import {
  type AttentionMaps,
  type Box,
  type ImageFacts,
  MAP_HALF,
  type NearList,
  type ObjectFacts,
  type ObjectList,
  type ObjectMap,
  type OutlinedObject,
  outlineOf,
  patchAt,
  type PatchMaps,
  type PatchValues,
  patchValues,
  perMille,
  rowOf,
  type StoreFacts,
} from "../portable/index.js";
import {
  boxIn,
  grow,
  type Hit,
  type Plane,
  planeOf,
  type Store,
  type StoredObject,
} from "../search/index.js";
import { catalogue } from "./catalogue.js";
import { type Searched, searchedStore } from "./beside.js";
import { OwnPictures } from "./own.js";
import type { PagePictures } from "./pictures.js";

/** What a query asks, by the names in its address. */
export type Question = URLSearchParams;

/** Most things that are sent at once. */
const MOST = 500;
/** Numbers of patch features that are kept. */
const FEATURES = 2 ** 25;

export interface AnswerOptions {
  readonly own?: OwnPictures;
  /** stands in the addresses of pictures */
  readonly version?: string;
  /** another network's store of the same library */
  readonly beside?: Searched | undefined;
}

/**
 * Answers what the page asks, by path.
 */
export function answers(
  store: Store,
  pictures: PagePictures,
  { own = new OwnPictures(), version = "", beside }: AnswerOptions = {},
) {
  const known = catalogue(store);
  const patches = new Cache<string, Float32Array>(FEATURES, ({ length }) => length);
  const rowsOf = new Map<string, Int32Array>();

  const facts = (): StoreFacts => ({
    name: nameOf(store),
    objects: store.size("objects"),
    images: store.size("images"),
    networks: [store, ...(beside ? [beside.store] : [])].map((one) => ({
      name: nameOf(one),
      model: `${one.model.recipe}, ${one.model.size} pixels`,
    })),
    classes: known.classes,
    version,
  });

  const objects = (question: Question): ObjectList => {
    if (question.has("rows")) {
      const rows = numbersIn(question, "rows").slice(0, MOST);
      return { total: rows.length, objects: rows.map((row) => objectFacts(store.object(row))) };
    }
    const from = whole(question, "from", 0);
    const count = Math.min(MOST, whole(question, "count", 100));
    const name = question.get("class");
    const rows = name === null ? undefined : (rowsOf.get(name) ?? known.rowsOf(name));
    if (name !== null && !rows)
      throw new ConfigError(`class ${plain(name)}: no object of the store has it`);
    if (name !== null) rowsOf.set(name, rows!);
    const total = rows?.length ?? store.size("objects");
    const some = Array.from(
      { length: Math.max(0, Math.min(count, total - from)) },
      (_, at) => rows?.[from + at] ?? from + at,
    );
    return { total, objects: some.map((row) => objectFacts(store.object(row))) };
  };

  const image = (question: Question): ImageFacts => {
    const found = store.image(whole(question, "row"));
    const { row, key, width, height } = found;
    return { row, key, width, height, objects: store.objectsIn(row).map(outlined) };
  };

  const near = async (question: Question): Promise<NearList> => {
    const top = Math.min(MOST, whole(question, "top", 24));
    const searched = asked(question);
    if (question.has("object")) {
      const row = whole(question, "object");
      return { hits: searched.like(row, top).map(nearObject), outline: null };
    }
    const { sample } = await photograph(question);
    const object = pointedAt(question, sample, searched.store);
    const hits = searched.search({ sample, object }, top).map(nearObject);
    const isGuess = object && question.has("point");
    return { hits, outline: isGuess ? outlineOf(object.pixels(), sample) : null };
  };

  /** Which of the stores a question is for. */
  const asked = (question: Question): Searched => {
    const network = whole(question, "network", 0);
    const found = [searchedStore(store), beside][network];
    if (found) return found;
    throw new ConfigError(`network: got ${network}; the page has no such store`);
  };

  /** The photograph that a question is about, and a name for it. */
  const photograph = async (question: Question) => {
    if (question.has("own")) {
      const number = whole(question, "own");
      return { name: `own ${number}`, sample: own.get(number) };
    }
    return imageSample(whole(question, "image"));
  };
  const imageSample = async (row: number) => ({
    name: `image ${row}`,
    sample: await pictures.read(row),
  });
  const pointedAt = (
    question: Question,
    sample: Sample,
    looking: Store,
  ): SceneObject | undefined => {
    if (question.has("box")) return boxIn(sample, numbersIn(question, "box", 4));
    if (!question.has("point")) return undefined;
    const [x, y] = numbersIn(question, "point", 2);
    return grow(looking.network(), sample, x!, y!);
  };

  const patchMaps = async (question: Question): Promise<PatchMaps> => {
    const first = await photograph(question);
    const [x, y] = [whole(question, "x"), whole(question, "y")];
    const others = question.has("in") ? numbersIn(question, "in") : [];
    const features = ({ name, sample }: typeof first) =>
      patches.get(name, async () => store.network().patchFeatures(sample));
    const grid = store.network().grid(first.sample);
    const vector = rowOf(await features(first), store.model.width, patchAt(grid, x, y));
    const mapOf = async (photo: typeof first): Promise<PatchValues> =>
      patchValues(await features(photo), vector, store.network().grid(photo.sample));
    const maps: PatchMaps["others"][number][] = [];
    for (const row of new Set(others.slice(0, MOST)))
      maps.push({ image: row, ...(await mapOf(await imageSample(row))) });
    return { here: await mapOf(first), others: maps };
  };

  const attention = async (question: Question): Promise<AttentionMaps> => {
    const object = store.object(whole(question, "object"));
    const teacher = store.network();
    const { depth, tokens } = teacher.recipe.model;
    const block = whole(question, "block", depth - 1);
    const sample = await pictures.read(object.image.row);
    const { side, box } = teacher.grid(sample);
    return {
      token: summaryToken(tokens),
      blocks: depth,
      block,
      side,
      region: corners(box),
      masked: teacher.attention(sample, object.mask(), block).map(perMille),
      open: teacher.attention(sample, undefined, block).map(perMille),
    };
  };

  let plane: Plane | undefined;
  const map = (): ObjectMap => {
    plane ??= planeOf(store);
    const places = Array.from(plane.places, (place) => Math.round(MAP_HALF * place));
    return { places, classes: [...known.classOf], kept: plane.kept };
  };

  return { store: facts, objects, image, near, patches: patchMaps, attention, map };
}

/** The token that stands for an object: what it is called on the page. */
export const summaryToken = (tokens: string): AttentionMaps["token"] =>
  tokens === "cls" ? "[CLS]" : "[OBJ]";

const nameOf = ({ path }: Store): string => basename(resolve(path));

const corners = ({ x, y, width, height }: Box) => [x, y, width, height] as const;

function objectFacts({ row, image, class: name, score }: StoredObject): ObjectFacts {
  return { row, image: image.row, key: image.key, class: name ?? null, score: score ?? null };
}

function outlined(object: StoredObject): OutlinedObject {
  return {
    ...objectFacts(object),
    box: corners(object.box),
    outline: outlineOf(object.mask().pixels(), object.image),
  };
}

function nearObject({ similarity, object, image: { width, height } }: Hit) {
  return { ...outlined(object!), similarity, width, height };
}

/** @throws ConfigError when it is no whole number from 0 up */
function whole(question: Question, name: string, fallback?: number): number {
  const text = question.get(name);
  if (text === null && fallback !== undefined) return fallback;
  if (text !== null && /^\d{1,15}$/.test(text)) return Number(text);
  throw new ConfigError(
    `${name}: got ${text === null ? "nothing" : plain(text)}; wanted a whole number`,
  );
}

/** @throws ConfigError when they are no numbers, or not so many */
function numbersIn(question: Question, name: string, count?: number): readonly number[] {
  const text = question.get(name) ?? "";
  const numbers = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (numbers.every(Number.isFinite) && (count === undefined || numbers.length === count))
    return numbers;
  throw new ConfigError(
    `${name}: got ${plain(text)}; wanted ${count ?? "some"} numbers with commas between them`,
  );
}
