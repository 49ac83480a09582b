import {
  type AttentionMaps,
  folderFiles,
  folderVersion,
  type Found,
  type ImageFacts,
  type LibraryFile,
  type NearList,
  type NearObject,
  type ObjectFacts,
  type ObjectList,
  type ObjectMap,
  outlineOf,
  type PatchMaps,
} from "../portable/index.js";
import { fetched, folderServer } from "./fetched.js";
import type { Library, Listed, PhotoFacts, PhotoRef, Query } from "./library.js";
import { OwnPhotos } from "./own-photos.js";
import { FinderLink } from "./finder-link.js";
import type { Seen } from "./finder-wire.js";

/** Files that are kept in memory. */
const KEPT = 400;

/** A library of plain files, which any web server hosts; what has to be computed the browser computes. */
export class FileLibrary implements Library {
  readonly canLook: boolean;
  readonly own?: (file: File) => Promise<PhotoRef>;
  readonly patches?: NonNullable<Library["patches"]>;
  readonly attention?: NonNullable<Library["attention"]>;
  private readonly photos = new OwnPhotos();
  private readonly files = new Map<string, Promise<unknown>>();
  private readonly finder: FinderLink;
  private given = 0;
  private rowsOf: { readonly name: string; readonly rows: readonly number[] } | undefined;

  private constructor(
    private readonly file: LibraryFile,
    progress: (text: string) => void,
  ) {
    this.finder = new FinderLink(file, progress);
    this.canLook = file.network !== null;
    if (!this.canLook) return;
    this.own = (given) => this.take(given);
    this.patches = (photo, x, y, images) => this.patchMaps(photo, x, y, images);
    if (file.network!.attention) this.attention = (object, block) => this.looks(object, block);
  }

  /**
   * @param progress told what is being loaded, and "" when it is there
   * @throws Error when there is none, or one that another release wrote
   */
  static async open(progress: (text: string) => void): Promise<FileLibrary> {
    const file = await json<LibraryFile>(folderFiles.library);
    const version: number = file.version;
    if (version === folderVersion) return new FileLibrary(file, progress);
    throw new Error(
      `${folderFiles.library}: got version ${version}, wanted ${folderVersion}; the folder is of two ` +
        `releases of odis: write it anew, or load this page anew`,
    );
  }

  get facts(): LibraryFile["facts"] {
    return this.file.facts;
  }

  async objects(listed: Listed): Promise<ObjectList> {
    const rows = "rows" in listed ? listed.rows : await this.listed(listed);
    const total = await this.total(listed);
    return { total, objects: await Promise.all(rows.map((row) => this.object(row))) };
  }

  async object(row: number): Promise<ObjectFacts> {
    const { list } = this.file;
    const objects = await this.read<readonly ObjectFacts[]>(
      folderFiles.objects(Math.floor(row / list)),
    );
    const found = objects[row % list];
    if (found) return found;
    throw new Error(`the library has no object ${row}`);
  }

  async photo(photo: PhotoRef): Promise<PhotoFacts> {
    if ("own" in photo) return this.photos.get(photo.own).facts;
    return { ...(await this.image(photo.image)), src: folderFiles.photo(photo.image) };
  }

  async near(query: Query, top: number): Promise<NearList> {
    if ("object" in query) {
      const { found } = await this.finder.ask({ kind: "object", object: query.object, top });
      return { hits: await this.hits(found), outline: null };
    }
    const { photo, box, point } = query;
    const seen = await this.seen(photo);
    const { found, mask } = await this.finder.ask({ kind: "photo", photo: seen, box, point, top });
    return { hits: await this.hits(found), outline: mask ? outlineOf(mask, seen.size) : null };
  }

  map(): Promise<ObjectMap> {
    return this.read<ObjectMap>(folderFiles.map);
  }

  crop(object: number): string {
    return folderFiles.crop(object);
  }

  small(image: number): string {
    return folderFiles.small(image);
  }

  private async take(file: File): Promise<PhotoRef> {
    const size = await this.finder.ask({ kind: "size", file });
    const own = this.given;
    this.given += 1;
    this.photos.add(own, file, size);
    return { own };
  }

  private async patchMaps(
    photo: PhotoRef,
    x: number,
    y: number,
    images: readonly number[],
  ): Promise<PatchMaps> {
    const others = await Promise.all(images.map((image) => this.seen({ image })));
    const { maps } = await this.finder.ask({
      kind: "patches",
      photo: await this.seen(photo),
      point: [x, y],
      others,
    });
    const [here, ...more] = maps;
    return { here: here!, others: more.map((map, at) => ({ ...map, image: images[at]! })) };
  }

  private async looks(object: number, block: number | undefined): Promise<AttentionMaps> {
    const { image } = await this.object(object);
    const { objects } = await this.image(image);
    const visible = objects.find(({ row }) => row === object)?.patches;
    if (visible === undefined)
      throw new Error("nothing of it is inside the part that the network sees");
    const photo = await this.seen({ image });
    return this.finder.ask({ kind: "attention", photo, visible, block });
  }

  /** A photograph as the worker is told of it. */
  private async seen(photo: PhotoRef): Promise<Seen> {
    const { width, height, src } = await this.photo(photo);
    const size = { width, height };
    if ("own" in photo)
      return { name: `own ${photo.own}`, size, source: this.photos.get(photo.own).file };
    const source = new URL(src, document.baseURI).href;
    return { name: `image ${photo.image}`, size, source };
  }

  private async listed({ from, count, class: name }: Exclude<Listed, { rows: unknown }>) {
    const rows = name === undefined ? undefined : await this.ofClass(name);
    const total = rows?.length ?? this.facts.objects;
    return Array.from(
      { length: Math.max(0, Math.min(count, total - from)) },
      (_, at) => rows?.[from + at] ?? from + at,
    );
  }

  private async total(listed: Listed): Promise<number> {
    if ("rows" in listed) return listed.rows.length;
    return listed.class === undefined
      ? this.facts.objects
      : (await this.ofClass(listed.class)).length;
  }

  private async ofClass(name: string): Promise<readonly number[]> {
    if (this.rowsOf?.name === name) return this.rowsOf.rows;
    const { classes } = await this.map();
    const wanted = this.facts.classes.findIndex((one) => one.name === name);
    const rows = classes.flatMap((at, row) => (at === wanted ? [row] : []));
    this.rowsOf = { name, rows };
    return rows;
  }

  private image(row: number): Promise<ImageFacts> {
    return this.read<ImageFacts>(folderFiles.image(row));
  }

  private hits(found: readonly Found[]): Promise<NearObject[]> {
    return Promise.all(
      found.map(async ({ row, similarity }) => {
        const { image } = await this.object(row);
        const { width, height, objects } = await this.image(image);
        return { ...objects.find((one) => one.row === row)!, similarity, width, height };
      }),
    );
  }

  /** A file of JSON, which does not change while the page is open. */
  private read<T>(path: string): Promise<T> {
    const known = this.files.get(path) as Promise<T> | undefined;
    if (known) return known;
    if (this.files.size >= KEPT) this.files.delete(this.files.keys().next().value!);
    const reading = json<T>(path);
    this.files.set(path, reading);
    reading.catch(() => this.files.delete(path));
    return reading;
  }
}

const json = <T>(path: string): Promise<T> =>
  fetched(path, folderServer, async (response) => (await response.json()) as T);
