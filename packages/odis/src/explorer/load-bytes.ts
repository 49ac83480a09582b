/**
 * A file's bytes, telling how far it is.
 *
 * @param what it is, in words
 * @param of how many bytes of it came before, and how many there are in all
 */
export async function loadBytes(
  address: URL,
  what: string,
  { before = 0, all }: { readonly before?: number; readonly all: number },
  tell: (text: string) => void,
): Promise<ArrayBuffer> {
  const response = await fetch(address);
  if (!response.ok || !response.body)
    throw new Error(`${address.pathname}: the web server says ${response.status}`);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const reader = response.body.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    pieces.push(piece.value);
    done += piece.value.length;
    tell(`loading ${what}: ${megabytes(before + done)} of ${megabytes(all)} MB`);
  }
  return new Blob(pieces).arrayBuffer();
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
