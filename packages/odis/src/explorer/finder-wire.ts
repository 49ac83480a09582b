import type { AttentionMaps, Found, LibraryFile, PatchValues } from "../portable/index.js";

/** A photograph that the worker looks at. */
export interface Seen {
  /** the same photograph has the same name */
  readonly name: string;
  /** what boxes and points refer to, pixels; its file may be a smaller one */
  readonly size: { readonly width: number; readonly height: number };
  /** an address, or the file itself */
  readonly source: string | Blob;
}

/** What the page asks its worker, and what it gets, by kind. */
export interface Asked {
  /** what is most like an object */
  readonly object: [
    { readonly object: number; readonly top: number },
    { readonly found: readonly Found[] },
  ];
  /** what is most like something in a photograph */
  readonly photo: [
    {
      readonly photo: Seen;
      readonly box: readonly number[] | undefined;
      readonly point: readonly number[] | undefined;
      readonly top: number;
    },
    {
      readonly found: readonly Found[];
      /** [height × width]: what was taken for the thing at a point */
      readonly mask?: Uint8Array | undefined;
    },
  ];
  /** how like patches are to the one at a point: of the photograph, then of the others */
  readonly patches: [
    { readonly photo: Seen; readonly point: readonly number[]; readonly others: readonly Seen[] },
    { readonly maps: readonly PatchValues[] },
  ];
  /** where the network looks, with an object's patches and without */
  readonly attention: [
    {
      readonly photo: Seen;
      /** as `packedBits` writes them */
      readonly visible: string;
      readonly block: number | undefined;
    },
    AttentionMaps,
  ];
  /** pixels of a picture file */
  readonly size: [{ readonly file: File }, { readonly width: number; readonly height: number }];
}

export type Kind = keyof Asked;
export type Question<K extends Kind = Kind> = {
  [Name in K]: { readonly kind: Name } & Asked[Name][0];
}[K];
export type Answer<K extends Kind = Kind> = Asked[K][1];

/** To the worker; the first one says what library it is. */
export type ToWorker =
  | { readonly library: LibraryFile; readonly root: string }
  | { readonly id: number; readonly question: Question };

/** From the worker. */
export type FromWorker =
  | { readonly loading: string }
  | { readonly id: number; readonly answer: Answer }
  | { readonly id: number; readonly error: string };
