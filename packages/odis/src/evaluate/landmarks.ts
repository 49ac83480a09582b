import { basename, extname } from "node:path";
import { z } from "zod";
import { DataError, FileProblem, parseJson, plain, readRegular, show } from "../core/index.js";
import { type DataSource, openSource, type Sample } from "../data/index.js";
import { plainPickle } from "../formats/index.js";
import { objectFromBox, type SceneObject } from "../objects/index.js";

const indices = z.array(z.int().min(0));
const truthSchema = z.object({
  /** names of the pictures to find, and of those that are asked for, without folder and ending */
  imlist: z.array(z.string()).min(1),
  qimlist: z.array(z.string()).min(1),
  gnd: z.array(
    z.object({
      /** x and y of the left upper and right lower corner of what is asked for */
      bbx: z.array(z.number()).length(4),
      easy: indices,
      hard: indices,
      junk: indices,
    }),
  ),
});

/** Which pictures show the same landmark as each query, and how plainly. */
export type LandmarkTruth = z.output<typeof truthSchema>;

/** What counts as found, and what is taken out of the ranking. */
export const difficulties = {
  medium: { positive: ["easy", "hard"], junk: ["junk"] },
  hard: { positive: ["hard"], junk: ["junk", "easy"] },
} as const;
export type Difficulty = keyof typeof difficulties;

/** A collection of pictures with its queries. */
export interface Landmarks {
  readonly name: string;
  readonly truth: LandmarkTruth;
  /** the pictures to find, each as a whole */
  readonly gallery: DataSource;
  /** those that are asked for, each with what is asked for as its object */
  readonly queries: DataSource;
}

const largestTruth = 1 << 26;

/** `IMAGES,GROUND_TRUTH` */
function parts(text: string): readonly [folder: string, file: string] {
  const cut = text.lastIndexOf(",");
  return [text.slice(0, Math.max(0, cut)), text.slice(cut + 1)];
}

/** What a collection is called in tables: `roxford5k` of `gnd_roxford5k.pkl`. */
export function landmarksName(text: string): string {
  return stem(parts(text)[1]).replace(/^gnd_/, "");
}

/**
 * Opens a collection as `IMAGES,GROUND_TRUTH`: a folder of pictures and a file as the revisited
 * Oxford and Paris sets have it, JSON or the published pickle (which is read, not run).
 *
 * @throws DataError saying what is wrong with it
 */
export async function openLandmarks(text: string): Promise<Landmarks> {
  const [folder, file] = parts(text);
  if (folder === "" || file === "")
    throw new DataError(
      `landmarks ${show(text)}: wanted IMAGES,GROUND_TRUTH: a folder of pictures, and a .json or .pkl file`,
    );
  const truth = await readTruth(file);
  const source = await openSource({ kind: "folder", place: folder });
  const places = new Map<string, number>();
  for (let index = 0; index < source.size; index += 1) places.set(stem(source.key(index)), index);
  const at = (names: readonly string[]): number[] => {
    const missing = names.filter((name) => !places.has(stem(name)));
    if (missing.length > 0)
      throw new DataError(
        `landmarks ${plain(folder)}: ${missing.length} of ${names.length} pictures of ${plain(file)} are ` +
          `missing: ${missing.slice(0, 3).map(plain).join(", ")}${missing.length > 3 ? ", …" : ""}`,
      );
    return names.map((name) => places.get(stem(name))!);
  };
  return {
    name: landmarksName(text),
    truth,
    gallery: withObjects(source, at(truth.imlist), () => undefined),
    queries: withObjects(source, at(truth.qimlist), (query) => truth.gnd[query]!.bbx),
  };
}

const stem = (name: string): string => basename(name, extname(name));

async function readTruth(file: string): Promise<LandmarkTruth> {
  const what = `landmarks' ground truth ${plain(file)}`;
  let bytes: Buffer;
  try {
    bytes = await readRegular(file, largestTruth);
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error;
    throw new DataError(`${what} ${error.message}`, { cause: error });
  }
  const isText = file.endsWith(".json");
  const value = isText ? parseJson(bytes, what) : plainPickle(bytes, what);
  const parsed = truthSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new DataError(
      `${what}: ${issue!.path.map(String).join(".") || "the file"}: ${show(issue!.message)}; wanted imlist, ` +
        `qimlist, and gnd with bbx, easy, hard and junk for each query`,
    );
  }
  const { imlist, qimlist, gnd } = parsed.data;
  const beyond = gnd.flatMap(({ easy, hard, junk }) => [...easy, ...hard, ...junk]);
  if (gnd.length !== qimlist.length || beyond.some((index) => index >= imlist.length))
    throw new DataError(
      `${what}: ${gnd.length} answers for ${qimlist.length} queries among ${imlist.length} pictures do ` +
        `not fit each other`,
    );
  return parsed.data;
}

/** Some pictures, each with one object: a box in it, or all of it. */
function withObjects(
  source: DataSource,
  images: readonly number[],
  boxOf: (at: number) => readonly number[] | undefined,
): DataSource {
  return {
    size: images.length,
    classes: ["landmark"],
    key: (at) => source.key(images[at]!),
    async read(at) {
      const sample = await source.read(images[at]!);
      return { ...sample, objects: [boxObject(sample, boxOf(at))] };
    },
  };
}

/** Boxes lie on parts of pixels, and now and then leave the picture. */
function boxObject({ width, height }: Sample, corners: readonly number[] | undefined): SceneObject {
  const [x0 = 0, y0 = 0, x1 = width, y1 = height] = corners ?? [];
  const within = (value: number, most: number): number =>
    Math.min(most, Math.max(0, Math.round(value)));
  const [left, top] = [within(x0, width - 1), within(y0, height - 1)];
  const [w, h] = [Math.max(1, within(x1, width) - left), Math.max(1, within(y1, height) - top)];
  return objectFromBox([left, top, w, h], { width, height }, { id: 0, label: 0 });
}
