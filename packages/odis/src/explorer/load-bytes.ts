import { fetched, folderServer } from "./fetched.js";

/** A large file. */
export interface LargeFile {
  readonly address: URL;
  /** what it is, in words; it may be a part of something */
  readonly what: string;
  /** how many it has, or it is not whole */
  readonly bytes: number;
  /** of what it is a part of: how many came before, and how many there are in all */
  readonly before?: number;
  readonly all?: number;
}

/**
 * A file's bytes.
 *
 * @param progress told how far it is
 * @throws Error when it is not there, or has more or fewer bytes
 */
export async function loadBytes(
  { address, what, bytes, before = 0, all = bytes }: LargeFile,
  progress: (text: string) => void,
): Promise<ArrayBuffer> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  await fetched(address, folderServer, async ({ body }) => {
    const reader = body!.getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      pieces.push(piece.value);
      done += piece.value.length;
      progress(`loading ${what}: ${megabytes(before + done)} of ${megabytes(all)} MB`);
    }
  });
  if (done === bytes) return new Blob(pieces).arrayBuffer();
  throw new Error(
    `${address.pathname.slice(1)}: got ${done} bytes, wanted ${bytes}; ${folderServer.refused}`,
  );
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
