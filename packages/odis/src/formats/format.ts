import type { TensorInfo, TypedArray } from "@odis/torch";
import type { Network } from "../model/index.js";
import type { Recipe } from "../recipe/index.js";
import type { WeightSource } from "./find.js";

/** What a tensor of a file is to a network of ours. `name` is our name for it. */
export type Renamed =
  | {
      readonly kind: "backbone";
      readonly name: string;
      /** which part of the rows, where query, key and value, or gate and value, are kept apart */
      readonly part?: { readonly at: number; readonly of: number };
    }
  | { readonly kind: "head"; readonly name: string };

/** A folder that holds a network: the file of its weights, and texts beside it. */
export interface FolderLayout {
  readonly weights: string;
  /** JSON files -> the word before their leaves' names: `config.json` -> `config` */
  readonly texts: Readonly<Record<string, string>>;
}

/** What files say of a network beside its tensors, as far as they say it. */
export interface StatedShape {
  /** width of a token */
  readonly dim?: number | undefined;
  /** blocks */
  readonly depth?: number | undefined;
  /** attention heads */
  readonly heads?: number | undefined;
  /** side of a patch, pixels */
  readonly patch?: number | undefined;
  /** pixels that the positions are laid out for */
  readonly image?: { readonly height: number; readonly width: number } | undefined;
  /** patches that they are laid out for, over `image` */
  readonly grid?: { readonly rows: number; readonly columns: number } | undefined;
  /** whether [CLS] has a position; unknown: it has */
  readonly specialPositions?: boolean | undefined;
  /** added to the variance in layer norms */
  readonly normEpsilon?: number | undefined;
  /** of the feed-forward part, as Hugging Face calls it */
  readonly activation?: string | undefined;
}

/** How the weights of a format become ours. */
export interface FormatReader {
  /** @param name a tensor's, without what wraps networks (`module.`) or tells them apart (`teacher.`) */
  readonly rename: (name: string) => Renamed | undefined;
  /** Names that only the shapes tell apart; gets and gives weights under our names. */
  readonly settle?: (
    backbone: ReadonlyMap<string, WeightSource>,
  ) => ReadonlyMap<string, WeightSource>;
  readonly folder?: FolderLayout;
  /** @param plain the file's leaves that are no tensors, and those of the texts beside it */
  readonly stated?: (plain: ReadonlyMap<string, PlainValue>) => StatedShape;
}

/** A network on its way out. */
export interface ExportedNetwork {
  readonly network: Network;
  readonly recipe: Recipe;
  readonly side: Side;
  /** steps of training that were done */
  readonly step: number;
  /** of the weights in the file */
  readonly precision: "float32" | "float16";
}

/** How a network of ours becomes one of a format. */
export interface FormatWriter {
  /** what the user names: a new file or a new folder */
  readonly makes: "file" | "folder";
  /** end of a file's name that means this format and no other */
  readonly extension?: string;
  /**
   * @returns the files
   * @throws ConfigError, before anything is made, when the format has no place for all parts
   */
  readonly write: (out: string, exported: ExportedNetwork) => Promise<readonly string[]>;
  /** what a user should know of the result */
  readonly notes: (exported: ExportedNetwork) => readonly string[];
}

/**
 * A way in which programs name and keep the weights of a Vision Transformer: one file of this
 * folder, and a line in `registry.ts`. Command line, help and messages follow from it.
 */
export interface WeightFormat<Name extends string = string> {
  /** as `--format` takes it */
  readonly name: Name;
  /** whose it is, for help and messages */
  readonly title: string;
  readonly read?: FormatReader;
  readonly write?: FormatWriter;
}

/** A format that networks can be exported in. */
export interface WritableFormat<Name extends string = string> extends WeightFormat<Name> {
  readonly write: FormatWriter;
}

export type Side = "student" | "teacher";

/** A leaf of a file that is not a tensor: an epoch, an option of the training that made it. */
export type PlainValue = string | number | boolean;

/** An open file of named tensors, whatever its format. Tensors are read one at a time. */
export interface WeightFile extends Disposable {
  readonly path: string;
  /** full names, e.g. `teacher.backbone.blocks.0.attn.qkv.weight` */
  readonly names: readonly string[];
  /** what else it says, by full name */
  readonly plain: ReadonlyMap<string, PlainValue>;
  /** tensors that are there and cannot be read, with what they are, e.g. "a tensor of int8" */
  readonly unreadable: ReadonlyMap<string, string>;
  has(name: string): boolean;
  info(name: string): TensorInfo;
  /** row-major elements, in memory of their own */
  read(name: string): TypedArray;
}
