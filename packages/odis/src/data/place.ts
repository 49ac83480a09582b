import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, extname, isAbsolute, join, posix, relative, resolve, sep } from "node:path";
import { codeOf, DataError, grouped, kindOf, plain, reasonOf, shellWord } from "../core/index.js";

/** Names of pictures that can be read. */
export const pictureEndings: ReadonlySet<string> = new Set([
  ".jpg",
  ".jpeg",
  ".png",
  ".webp",
  ".gif",
  ".tif",
  ".tiff",
  ".avif",
]);

/** Names of pictures that people have and odis does not read. */
export const otherPictures: ReadonlySet<string> = new Set([
  ".bmp",
  ".heic",
  ".heif",
  ".jp2",
  ".svg",
  ".raw",
]);

export const endingOf = (name: string): string => extname(name).toLowerCase();
/** A file's name without folders and ending. */
export const stemOf = (name: string): string => basename(name, extname(name));
export const isPicture = (name: string): boolean => pictureEndings.has(endingOf(name));

/** Folders in one another that a walk follows. */
const DEEPEST = 32;

/** What a folder holds. */
interface Listing {
  readonly names: ReadonlySet<string>;
  /** those that are no regular files */
  readonly odd: ReadonlyMap<string, Dirent>;
}

/** A folder with pictures, and the rule that nothing outside of it is read unless allowed. */
export class Place {
  private readonly listings = new Map<string, Promise<Listing>>();
  private realRoot: Promise<string> | undefined;

  /**
   * @param root absolute
   * @param what names it in messages: "image folder"
   * @param outside whether names and links may lead out of it
   */
  constructor(
    readonly root: string,
    private readonly what: string,
    private readonly outside: boolean,
  ) {}

  /**
   * The files that annotations name, as they are called on the disk: spelled with other bytes for
   * the same letters (NFC, NFD) or with a backslash between folders they are found, too.
   *
   * @param source names the annotations in messages
   * @throws DataError naming the first files that are missing, no regular files, or outside
   */
  async find(names: readonly string[], source: string): Promise<string[]> {
    const missing: string[] = [];
    const found: string[] = [];
    await this.list(".");
    for (const name of names) {
      const file = await this.look(name, source);
      if (file === undefined) missing.push(name);
      else found.push(file);
    }
    if (missing.length === 0) return found;
    const some = missing.slice(0, 3).map(plain).join(", ") + (missing.length > 3 ? ", …" : "");
    throw new DataError(
      `${grouped(missing.length)} of ${grouped(names.length)} images of ${source} are not in the folder ` +
        `${plain(this.root)}: ${some}`,
    );
  }

  /** One file by its annotated name; undefined where there is none. */
  async look(name: string, source: string): Promise<string | undefined> {
    for (const spelling of new Set([name, name.replaceAll("\\", "/")])) {
      const file = posix.normalize(spelling);
      if (!this.outside && (isAbsolute(file) || file.startsWith("../") || file === ".."))
        throw this.leaves(`${source} names ${plain(JSON.stringify(name))}, which`);
      const { names, odd } = await this.list(posix.dirname(file)).catch(() => nothing);
      const base = posix.basename(file);
      const actual = names.has(base) ? base : otherSpelling(names, base);
      if (actual === undefined) continue;
      const path = posix.join(posix.dirname(file), actual);
      const entry = odd.get(actual);
      if (entry) await this.checkOdd(path, entry);
      return isAbsolute(file) ? join(posix.dirname(file), actual) : path;
    }
    return undefined;
  }

  /** Names in a folder below the root; none where there is no such folder. */
  async entries(folder: string): Promise<ReadonlySet<string>> {
    if (folder === ".") return (await this.list(".")).names;
    return (await this.list(folder).catch(() => nothing)).names;
  }

  /** The pictures in a folder below the root by their names without ending, in the order of names. */
  async picturesByStem(folder: string): Promise<Map<string, string>> {
    const names = [...(await this.entries(folder))].filter(isPicture).toSorted();
    const files = new Map<string, string>();
    for (const name of names) files.set(stemOf(name), await this.regular(posix.join(folder, name)));
    return files;
  }

  /**
   * A file below the root, checked as all are.
   *
   * @throws DataError for what is no regular file, or leads out
   */
  async regular(file: string): Promise<string> {
    const entry = (await this.list(posix.dirname(file))).odd.get(posix.basename(file));
    if (entry) await this.checkOdd(file, entry);
    return file;
  }

  /**
   * All files below the root whose names end in one of these, folder by folder in the order of
   * their names, hidden ones left out.
   *
   * @param onOther hears of the endings of other files
   * @param start a folder below the root, to walk only through that
   */
  async walk(
    endings: ReadonlySet<string> = pictureEndings,
    onOther: (ending: string) => void = () => undefined,
    start = ".",
  ): Promise<string[]> {
    const files: string[] = [];
    await this.list(start);
    const visited = new Set<string>();
    const into = async (folder: string, depth: number): Promise<void> => {
      const real = await realpath(resolve(this.root, folder));
      if (visited.has(real) || depth > DEEPEST) return;
      visited.add(real);
      const { names, odd } = await this.list(folder);
      const inner: string[] = [];
      for (const name of [...names].toSorted()) {
        if (name.startsWith(".") || name === "__MACOSX") continue;
        const path = folder === "." ? name : `${folder}/${name}`;
        const entry = odd.get(name);
        if (entry && (await this.isFolder(path, entry))) inner.push(path);
        else if (endings.has(endingOf(name))) {
          if (entry) await this.checkOdd(path, entry);
          files.push(path);
        } else onOther(endingOf(name));
      }
      this.listings.delete(folder); // a walk comes by once
      for (const path of inner) await into(path, depth + 1);
    };
    await into(posix.normalize(start), 0);
    return files;
  }

  private async isFolder(path: string, entry: Dirent): Promise<boolean> {
    if (entry.isDirectory()) return true;
    if (!entry.isSymbolicLink()) return false;
    const target = await stat(resolve(this.root, path)).catch(() => undefined);
    if (target?.isDirectory()) await this.checkInside(path);
    return target?.isDirectory() ?? false;
  }

  /** @throws DataError for what is no regular file, and for a link that leads out */
  private async checkOdd(path: string, entry: Dirent): Promise<void> {
    if (!entry.isSymbolicLink())
      throw new DataError(
        `${plain(join(this.root, path))} is ${kindOf(entry)}; wanted a regular file`,
      );
    await this.checkInside(path);
    const target = await stat(resolve(this.root, path)).catch(() => undefined);
    if (target && !target.isFile())
      throw new DataError(
        `${plain(join(this.root, path))} leads to ${kindOf(target)}; wanted a regular file`,
      );
  }

  private async checkInside(path: string): Promise<void> {
    if (this.outside) return;
    this.realRoot ??= realpath(this.root);
    const real = await realpath(resolve(this.root, path)).catch((cause: unknown) => {
      throw new DataError(`${plain(join(this.root, path))} is a link that leads nowhere`, {
        cause,
      });
    });
    const from = relative(await this.realRoot, real);
    if (from !== ".." && !from.startsWith(`..${sep}`) && !isAbsolute(from)) return;
    throw this.leaves(`${plain(join(this.root, path))} is a link that`);
  }

  private leaves(subject: string): DataError {
    return new DataError(
      `${subject} leads out of the ${this.what} ${plain(this.root)}. ` +
        `If that is meant, allow it: --data 'KIND:PLACE#outside'`,
    );
  }

  private list(folder: string): Promise<Listing> {
    const path = resolve(this.root, folder);
    const known = this.listings.get(folder);
    if (known) return known;
    const listing = list(path, this.what);
    this.listings.set(folder, listing);
    return listing;
  }
}

const nothing: Listing = { names: new Set(), odd: new Map() };

/** One listing per folder: asking for each of a million files would take minutes. */
async function list(path: string, what: string): Promise<Listing> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return {
      names: new Set(entries.map(({ name }) => name)),
      odd: new Map(entries.filter((entry) => !entry.isFile()).map((entry) => [entry.name, entry])),
    };
  } catch (cause) {
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: "does not exist",
      ENOTDIR: "is not a folder",
      EACCES: "cannot be read: permission denied",
    };
    const reason = reasons[codeOf(cause)] ?? `cannot be read (${reasonOf(cause)})`;
    throw new DataError(`${what} ${plain(path)} ${reason}`, { cause });
  }
}

/** The same letters in other bytes: macOS decomposes accents, annotations mostly do not. */
function otherSpelling(names: ReadonlySet<string>, base: string): string | undefined {
  const wanted = base.normalize("NFC");
  if (/^[\x20-\x7e]*$/.test(base)) return undefined;
  for (const name of names) if (name.normalize("NFC") === wanted) return name;
  return undefined;
}

/** A place as a command line takes it. */
export const quoted = (kind: string, place: string): string => shellWord(`${kind}:${place}`);
