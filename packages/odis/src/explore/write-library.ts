import { join } from "node:path";
import {
  checkNewFolder,
  isRecord,
  OdisError,
  parsedJson,
  plain,
  readOwnText,
  RunError,
  shellWord,
  statOf,
  systemSentence,
} from "../core/index.js";
import {
  folderFiles,
  folderVersion,
  type ImageFacts,
  type LibraryFile,
  type NetworkFacts,
  type ObjectFacts,
  packedBits,
  patchesOf,
} from "../portable/index.js";
import type { Store } from "../search/index.js";
import { answers } from "./answers.js";
import { runtimeFolder, writeNetwork } from "./file-network.js";
import { NewFolder } from "./new-folder.js";
import { icon, page } from "./page.js";
import { PagePictures, sides } from "./pictures.js";
import { pageScripts } from "./scripts.js";
import { pageStyle } from "./style.js";

export interface LibraryOptions {
  /** a new or empty folder */
  readonly out: string;
  /** without the network: visitors look at what is there, and ask for nothing else; default false */
  readonly browseOnly?: boolean | undefined;
  /** asked between two images */
  readonly stop?: { requested(): Promise<boolean> } | undefined;
  readonly onProgress?: ((done: number, of: number, objects: number) => void) | undefined;
}

/** What was written, or how many images were when it was asked to stop, and where they are kept. */
export type LibraryOutcome =
  | WrittenLibrary
  | { readonly stopped: number; readonly of: number; readonly kept: string };

export interface WrittenLibrary {
  readonly bytes: number;
  /** of the network and what runs it: what a visitor loads who asks for something of their own */
  readonly network: number;
}

/** Objects in a list: a visitor who scrolls loads some; one who searches, those of what is found. */
const LIST = 256;
/** Bytes of a part of the vectors. */
const PART = 2 ** 23;

/**
 * What can be wrong before there is a store, for those who make one first.
 *
 * @throws RunError when something is at `out`, ConfigError when the network's runtime is not installed
 */
export function checkLibrary({
  out,
  browseOnly,
}: Pick<LibraryOptions, "out" | "browseOnly">): void {
  if (isWritten(out))
    throw new RunError(
      `${plain(out)}: a page of odis explore is there already, and whole; to write it anew, delete the folder first ` +
        `(rm -r ${shellWord(out)}) or choose another one`,
    );
  checkNewFolder(out);
  if (browseOnly !== true) runtimeFolder();
}

/** Whether a page that was written whole lies there. */
function isWritten(out: string): boolean {
  const path = join(out, folderFiles.library);
  if (statOf(path)?.isFile() !== true) return false;
  const library = parsedJson(readOwnText(path) ?? "");
  return isRecord(library) && library["odis"] === "explorer";
}

/**
 * Writes a store's page as files that any web server hosts, with everything that the page needs. In
 * memory are the last images (`PagePictures`), and what the store keeps of its vectors. If it was stopped or
 * killed, or ended with an error, the images that were finished stay, and the same call goes on from there:
 * to the same files.
 *
 * @throws ConfigError when the network cannot be written; DataError when the store's pictures are not
 *   there; RunError when its network is not, or something is at `out`. Once images are kept, OdisError with
 *   the same exit code, which says where they are
 */
export async function writeLibrary(store: Store, options: LibraryOptions): Promise<LibraryOutcome> {
  using folder = new NewFolder(options.out, planOf(store, options.browseOnly === true));
  try {
    return await writeInto(folder, store, options);
  } catch (error) {
    const isBegun = folder.keeps && folder.has(folderFiles.image(0));
    throw isBegun ? withKept(error, folder.beside) : error;
  }
}

/** An error that the user can mend, with how to go on after it; others as they are. */
function withKept(error: unknown, kept: string): unknown {
  const mine = error instanceof OdisError ? error : undefined;
  const message = mine?.message ?? systemSentence(error);
  if (message === undefined) return error;
  const whole =
    `${message.replace(/\.?$/, ".")} The images that were finished are kept in ${plain(kept)}: ` +
    `the same command goes on from there`;
  if (mine) return new OdisError(whole, mine.exitCode, { cause: error });
  return new RunError(whole, { cause: error });
}

async function writeInto(
  folder: NewFolder,
  store: Store,
  { browseOnly = false, stop, onProgress }: LibraryOptions,
): Promise<LibraryOutcome> {
  const pictures = new PagePictures(store);
  await pictures.check();
  const network = browseOnly ? null : await writeNetwork(store, folder);
  const networkBytes = folder.bytes;
  const answer = answers(store, pictures);
  const lists = new Lists(folder);
  const images = store.size("images");
  for (let row = 0; row < images; row += 1) {
    if (await stop?.requested()) {
      folder.keep();
      return { stopped: row, of: images, kept: folder.beside };
    }
    const facts =
      finished(folder, row) ??
      (await writeImage(folder, pictures, withPatches(store, row, answer.image, network)));
    folder.keep();
    for (const { row: object, image, key, class: name, score } of facts.objects)
      lists.add({ row: object, image, key, class: name, score });
    onProgress?.(row + 1, images, lists.objects);
  }
  lists.finish();
  folder.write(folderFiles.map, JSON.stringify(answer.map()));
  const library: LibraryFile = {
    odis: "explorer",
    version: folderVersion,
    facts: answer.store(),
    list: LIST,
    vectors: writeVectors(store, folder),
    network,
  };
  writePage(folder, library);
  folder.finish();
  return { bytes: folder.bytes, network: networkBytes };
}

/** What decides every byte of the files: another store, or another kind of page, is begun anew. */
function planOf(store: Store, browseOnly: boolean): string {
  return JSON.stringify({ version: folderVersion, store: store.fingerprint(), browseOnly });
}

/** What is told of an image; with the patches of its objects where a network is asked about them. */
function withPatches(
  store: Store,
  row: number,
  image: (question: URLSearchParams) => ImageFacts,
  network: NetworkFacts | null,
): ImageFacts {
  const facts = image(new URLSearchParams({ row: String(row) }));
  if (!network?.attention) return facts;
  const objects = facts.objects.map((object) => {
    const bits = patchesOf(store.object(object.row).mask().pixels(), facts, network);
    return { ...object, patches: bits && packedBits(bits) };
  });
  return { ...facts, objects };
}

/** The facts of an image that an interrupted writer has finished, its files counted. */
function finished(folder: NewFolder, row: number): ImageFacts | undefined {
  const text = folder.read(folderFiles.image(row));
  const facts = text === undefined ? undefined : (parsedJson(text) as ImageFacts | undefined);
  if (!facts) return undefined;
  const names = [folderFiles.image(row), ...pictureFiles(facts)];
  if (!names.every((name) => folder.has(name))) return undefined; // the machine went down, too
  for (const name of names) folder.count(name);
  return facts;
}

const pictureFiles = ({ row, objects }: ImageFacts): readonly string[] => [
  folderFiles.photo(row),
  folderFiles.small(row),
  ...objects.map((object) => folderFiles.crop(object.row)),
];

/** Its facts come last: an image that has them has its pictures. */
async function writeImage(
  folder: NewFolder,
  pictures: PagePictures,
  facts: ImageFacts,
): Promise<ImageFacts> {
  const { row: image, objects } = facts;
  await pictures.read(image); // one that cannot be read ends here, before others wait for it
  const made = await Promise.all([
    pictures.photo(image, sides.photo),
    pictures.photo(image, sides.small),
    ...objects.map(({ row }) => pictures.crop(row)),
  ]);
  for (const [at, name] of pictureFiles(facts).entries()) folder.write(name, made[at]!);
  folder.writeWhole(folderFiles.image(image), JSON.stringify(facts));
  return facts;
}

/** Objects in files of a fixed number, in their order. */
class Lists {
  private waiting: ObjectFacts[] = [];
  private done = 0;

  constructor(private readonly folder: NewFolder) {}

  get objects(): number {
    return this.done * LIST + this.waiting.length;
  }

  add(object: ObjectFacts): void {
    this.waiting.push(object);
    if (this.waiting.length === LIST) this.finish();
  }

  finish(): void {
    if (this.waiting.length === 0) return;
    this.folder.write(folderFiles.objects(this.done), JSON.stringify(this.waiting));
    this.waiting = [];
    this.done += 1;
  }
}

/** All vectors of objects, as they are, in files of a fixed number of rows. */
function writeVectors(store: Store, folder: NewFolder): LibraryFile["vectors"] {
  const { width } = store.model;
  const rows = Math.max(1, Math.floor(PART / (4 * width)));
  const part = new Float32Array(rows * width);
  let [filled, done] = [0, 0];
  const flush = (): void => {
    if (filled === 0) return;
    folder.write(folderFiles.vectors(done), new Uint8Array(part.buffer, 0, 4 * filled));
    done += 1;
    filled = 0;
  };
  for (const chunk of store.chunks("objects"))
    for (let from = 0; from < chunk.length; ) {
      const some = chunk.subarray(from, from + part.length - filled);
      part.set(some, filled);
      filled += some.length;
      from += some.length;
      if (filled === part.length) flush();
    }
  flush();
  return { width, rows, bytes: 4 * width * store.size("objects") };
}

/** The page last: a folder with it is whole. */
function writePage(folder: NewFolder, library: LibraryFile): void {
  for (const { path, text } of pageScripts()) folder.write(path, text);
  folder.write("style.css", pageStyle);
  folder.write("icon.svg", icon);
  folder.write(folderFiles.library, JSON.stringify(library));
  folder.write("index.html", page("files"));
}
