import type {
  AttentionMaps,
  ImageFacts,
  NearList,
  ObjectFacts,
  ObjectList,
  ObjectMap,
  OwnPhoto,
  PatchMaps,
  Problem,
  StoreFacts,
} from "../portable/index.js";
import { type Answering, fetched } from "./fetched.js";
import type { Library, Listed, PhotoFacts, PhotoRef, Query } from "./library.js";
import { OwnPhotos } from "./own-photos.js";

interface Answers {
  readonly store: StoreFacts;
  readonly objects: ObjectList;
  readonly image: ImageFacts;
  readonly near: NearList;
  readonly patches: PatchMaps;
  readonly attention: AttentionMaps;
  readonly map: ObjectMap;
  readonly photo: OwnPhoto;
}

type Words = Readonly<Record<string, string | number>>;

/** A library that a server of odis answers for. */
export class ServedLibrary implements Library {
  readonly canLook = true;
  private readonly photos = new OwnPhotos();

  private constructor(readonly facts: StoreFacts) {}

  static async open(): Promise<ServedLibrary> {
    return new ServedLibrary(await ask("store"));
  }

  objects(listed: Listed): Promise<ObjectList> {
    if ("rows" in listed) return ask("objects", { rows: listed.rows.join(",") });
    const { from, count, class: name } = listed;
    return ask("objects", { from, count, ...(name === undefined ? {} : { class: name }) });
  }

  async object(row: number): Promise<ObjectFacts> {
    return (await this.objects({ from: row, count: 1 })).objects[0]!;
  }

  async photo(photo: PhotoRef): Promise<PhotoFacts> {
    if ("own" in photo) return this.photos.get(photo.own).facts;
    const image = await ask("image", { row: photo.image });
    return { ...image, src: this.address("photo", image.row) };
  }

  near(query: Query, top: number, network: number): Promise<NearList> {
    if ("object" in query) return ask("near", { object: query.object, top, network });
    const { photo, box, point } = query;
    const mark = { ...(box && { box: box.join(",") }), ...(point && { point: point.join(",") }) };
    return ask("near", { ...photo, ...mark, top, network });
  }

  map(): Promise<ObjectMap> {
    return ask("map");
  }

  crop(object: number): string {
    return this.address("crop", object);
  }

  small(image: number): string {
    return this.address("small", image);
  }

  async own(file: File): Promise<PhotoRef> {
    const taken = await ask("photo", {}, file);
    this.photos.add(taken.own, file, taken);
    return { own: taken.own };
  }

  patches(photo: PhotoRef, x: number, y: number, images: readonly number[]): Promise<PatchMaps> {
    const among = images.length > 0 ? { in: images.join(",") } : {};
    return ask("patches", { ...photo, x, y, ...among });
  }

  attention(object: number, block?: number): Promise<AttentionMaps> {
    return ask("attention", { object, ...(block === undefined ? {} : { block }) });
  }

  private address(kind: "crop" | "photo" | "small", row: number): string {
    return `${kind}/${row}.jpg?${this.facts.version}`;
  }
}

const server: Answering = {
  silent: "odis explore has ended: start it again",
  refused: "this is no odis explore any more: start it again",
  sentence: async (response) => ((await response.json()) as Problem).error,
};

/**
 * @param file is sent
 * @throws Error with the server's sentence when it cannot answer
 */
async function ask<Name extends keyof Answers>(
  name: Name,
  question: Words = {},
  file?: File,
): Promise<Answers[Name]> {
  const words = new URLSearchParams(
    Object.entries(question).map(([key, value]) => [key, String(value)]),
  );
  const sent = file ? { method: "POST", body: file } : {};
  const address = `api/${name}?${words.toString()}`;
  return fetched(
    address,
    server,
    async (response) => (await response.json()) as Answers[Name],
    sent,
  );
}
