import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { once } from "node:events";
import type { Finder } from "./found.js";

/** What may be set of makers; each reads some of it. */
export interface MakerOptions {
  /** least score of an object */
  readonly score?: number | undefined;
  /** objects that overlap more with a better one are dropped */
  readonly overlap?: number | undefined;
  /** most objects in a picture */
  readonly most?: number | undefined;
  /** side of the input, pixels */
  readonly size?: number | undefined;
  /** points on a side of SAM's grid */
  readonly points?: number | undefined;
  /** least stability of SAM's masks */
  readonly stability?: number | undefined;
  /** cosine above which two patches are alike */
  readonly alike?: number | undefined;
  /** kind of an ONNX network, where its file does not tell */
  readonly adapter?: string | undefined;
  /** cpu, cuda … */
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
}

/** A maker and its settings: plain data, since another process opens it. */
export interface MakerSpec {
  /** as it was named, behind `--with` */
  readonly text: string;
  readonly options: MakerOptions;
}

/** Where masks come from: what a file of masks says of its maker. */
export interface Provenance {
  readonly maker: string;
  /** what it was made of: networks, checkpoints */
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
  /** all settings that decide what is found, defaults included */
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface OpenMaker {
  readonly finder: Finder;
  readonly provenance: Provenance;
  close(): Promise<void>;
}

/** One way to find objects in pictures. */
export interface Maker {
  /** before the colon behind `--with`, or alone */
  readonly name: string;
  /** what stands behind `--with`, for help */
  readonly places: string;
  /** one clause, for help */
  readonly about: string;
  readonly reads: readonly (keyof MakerOptions)[];
  /** runs in this process, since it needs the annotations and nothing of strangers */
  readonly isOwn?: true;
  /** What a text behind `--with` names for this maker; undefined when it means another one. */
  parse(text: string): string | undefined;
  /** @throws OdisError saying what is wrong, before any picture is looked at */
  open(place: string, options: MakerOptions): Promise<OpenMaker>;
}

/** `NAME`, or `NAME:PLACE`. */
export function placeBehind(name: string, text: string): string | undefined {
  if (text === name) return "";
  return text.startsWith(`${name}:`) ? text.slice(name.length + 1) : undefined;
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  const stream = createReadStream(path).on("data", (chunk) => hash.update(chunk));
  await once(stream, "end");
  return hash.digest("hex");
}
