import type {
  AttentionMaps,
  NearList,
  ObjectFacts,
  ObjectList,
  ObjectMap,
  OutlinedObject,
  PatchMaps,
  StoreFacts,
} from "../portable/index.js";

/** A photograph: one of the library, by the row of its image, or the visitor's own, by its number. */
export type PhotoRef = { readonly image: number } | { readonly own: number };

/** An object of the library: its row, and that of its image. */
export interface ObjectRef {
  readonly row: number;
  readonly image: number;
}

/** What is meant in a photograph; without a box or a point, all of it. */
export interface Marked {
  readonly photo: PhotoRef;
  readonly box?: readonly number[] | undefined;
  readonly point?: readonly number[] | undefined;
}

/** What somebody wants the like of: an object of the library, or something in a photograph. */
export type Query = { readonly object: number } | Marked;

/** A photograph with what is known to be in it. */
export interface PhotoFacts {
  readonly key: string;
  readonly width: number;
  readonly height: number;
  /** its address */
  readonly src: string;
  readonly objects: readonly OutlinedObject[];
}

/** A part of a library: of a class or of all of it, or some rows. */
export type Listed =
  | { readonly from: number; readonly count: number; readonly class?: string | undefined }
  | { readonly rows: readonly number[] };

/**
 * Where everything that the page shows comes from. What a library cannot do it does not have, and the
 * page shows no control for it.
 */
export interface Library {
  readonly facts: StoreFacts;
  objects(listed: Listed): Promise<ObjectList>;
  object(row: number): Promise<ObjectFacts>;
  photo(photo: PhotoRef): Promise<PhotoFacts>;
  /** @param network which of those that the facts name */
  near(query: Query, top: number, network: number): Promise<NearList>;
  map(): Promise<ObjectMap>;
  /** addresses of pictures: an object's, and a small one of an image */
  crop(object: number): string;
  small(image: number): string;
  /** whether boxes and points can be asked about: there is a network that looks at photographs */
  readonly canLook: boolean;
  /** Takes a photograph of the visitor's own. */
  own?(file: File): Promise<PhotoRef>;
  /** How like the patches of a photograph, and of some images, are to the one at a point of it. */
  patches?(photo: PhotoRef, x: number, y: number, images: readonly number[]): Promise<PatchMaps>;
  /** @param block default: the last one */
  attention?(object: number, block?: number): Promise<AttentionMaps>;
}
