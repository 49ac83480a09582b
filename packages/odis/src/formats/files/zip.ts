import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { crc32, inflateRawSync } from "node:zlib";
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from "yauzl";
import { plain, reasonOf, WeightsError } from "../../core/index.js";

// Pieces in which stored bytes are read and summed up.
const pieceBytes = 1 << 22;
// Packed entries are unpacked in memory; few bytes may claim to be many.
const largestUnpacked = 1 << 30;
// An optimiser's checkpoint of a very large network has some thousands.
const mostEntries = 100_000;

interface Stored {
  /** where its bytes start in the file */
  readonly start: number;
  readonly entry: Entry;
}

/** An open zip archive whose entries are read in parts. */
export class ZipArchive implements Disposable {
  private descriptor: number | undefined;
  private readonly whole = new Set<string>();
  /** entries that were packed, newest last, at most `largestUnpacked` bytes together */
  private readonly unpacked = new Map<string, Uint8Array>();

  private constructor(
    readonly path: string,
    descriptor: number,
    private readonly entries: ReadonlyMap<string, Stored>,
  ) {
    this.descriptor = descriptor;
  }

  /**
   * Opens an archive and reads its directory; zip64 is understood.
   *
   * @throws WeightsError when the file cannot be opened, or is no archive or a torn one
   */
  static async open(path: string): Promise<ZipArchive> {
    const descriptor = openFile(path);
    try {
      return new ZipArchive(path, descriptor, await readDirectory(descriptor));
    } catch (error) {
      closeSync(descriptor);
      throw new WeightsError(
        path,
        `not a whole zip archive (${plain(reasonOf(error))}). ` +
          `It is torn, or no file of torch.save; copy it again.`,
        { cause: error },
      );
    }
  }

  get names(): readonly string[] {
    return [...this.entries.keys()];
  }

  /** Bytes of an entry when unpacked, as the directory states; undefined when there is none. */
  size(name: string): number | undefined {
    return this.entries.get(name)?.entry.uncompressedSize;
  }

  /**
   * Part of an entry in memory of its own, after the whole entry was found to be what was written.
   *
   * @throws WeightsError when it is not
   */
  read(name: string, begin: number, end: number): Uint8Array {
    const stored = this.entries.get(name);
    if (!stored || !(begin >= 0 && begin <= end && end <= stored.entry.uncompressedSize))
      throw new Error(`internal: no bytes ${begin} to ${end} in ${name}`);
    const { entry, start } = stored;
    if (!entry.canDecodeFileData())
      throw this.damaged(name, `packed by method ${entry.compressionMethod}, or encrypted`);
    if (entry.compressionMethod !== 0) return this.inflated(name, stored).slice(begin, end);
    this.check(name, stored);
    const bytes = new Uint8Array(end - begin);
    this.fill(name, bytes, start + begin);
    return bytes;
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
    this.unpacked.clear();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Many tensors may look at one entry: it is unpacked once, as long as there is room. */
  private inflated(name: string, stored: Stored): Uint8Array {
    const known = this.unpacked.get(name);
    if (known) return known;
    const bytes = this.inflate(name, stored);
    let total = bytes.length;
    for (const { length } of this.unpacked.values()) total += length;
    for (const [oldest, { length }] of this.unpacked) {
      if (total <= largestUnpacked) break;
      this.unpacked.delete(oldest);
      total -= length;
    }
    this.unpacked.set(name, bytes);
    return bytes;
  }

  private inflate(name: string, { entry, start }: Stored): Uint8Array {
    if (entry.uncompressedSize > largestUnpacked)
      throw new WeightsError(
        this.path,
        `entry ${plain(name)}: packed, and ${entry.uncompressedSize} bytes when unpacked; ${largestUnpacked} is ` +
          `the limit. Save the file again without compression, as torch.save does.`,
      );
    const packed = new Uint8Array(entry.compressedSize);
    this.fill(name, packed, start);
    let bytes: Uint8Array;
    try {
      bytes = inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.uncompressedSize) });
    } catch (error) {
      throw this.damaged(name, "its bytes cannot be unpacked", error);
    }
    if (bytes.length !== entry.uncompressedSize || crc32(bytes) !== entry.crc32)
      throw this.damaged(name, "its bytes are not what was written (their CRC-32 differs)");
    return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length); // no Buffer: its slices share memory
  }

  private check(name: string, { entry, start }: Stored): void {
    if (this.whole.has(name)) return;
    let sum = 0;
    for (let done = 0; done < entry.uncompressedSize; done += pieceBytes) {
      const piece = new Uint8Array(Math.min(pieceBytes, entry.uncompressedSize - done));
      this.fill(name, piece, start + done);
      sum = crc32(piece, sum);
    }
    if (sum !== entry.crc32)
      throw this.damaged(name, "its bytes are not what was written (their CRC-32 differs)");
    this.whole.add(name);
  }

  private fill(name: string, bytes: Uint8Array, position: number): void {
    if (this.descriptor === undefined) throw new Error(`internal: ${this.path} is closed`);
    for (let done = 0; done < bytes.length; ) {
      const piece = bytes.subarray(done, done + pieceBytes);
      const got = readSync(this.descriptor, piece, 0, piece.length, position + done);
      if (got === 0) throw this.damaged(name, "the file ends before it does");
      done += got;
    }
  }

  private damaged(name: string, problem: string, cause?: unknown): WeightsError {
    return new WeightsError(this.path, `entry ${plain(name)}: ${problem}. Copy the file again.`, {
      cause,
    });
  }
}

function openFile(path: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    throw new WeightsError(
      path,
      missing ? "no such file." : `cannot be opened: ${String(error)}.`,
      {
        cause: error,
      },
    );
  }
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw new WeightsError(path, "is not a file.");
}

async function readDirectory(descriptor: number): Promise<ReadonlyMap<string, Stored>> {
  const { size } = fstatSync(descriptor);
  const zip = await fromRandomAccessReaderPromise(new FileReader(descriptor, size), size, {
    autoClose: false,
  });
  if (zip.entryCount > mostEntries)
    throw new Error(`it has ${zip.entryCount} entries; ${mostEntries} is the limit`);
  const entries = new Map<string, Stored>();
  for await (const entry of zip.eachEntry()) {
    if (entries.has(entry.fileName)) throw new Error(`${plain(entry.fileName)} is in it twice`);
    entries.set(entry.fileName, { entry, start: await dataStart(zip, entry) });
  }
  return entries;
}

async function dataStart(zip: ZipFile, entry: Entry): Promise<number> {
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  return fileDataStart;
}

/** A file for yauzl. Unlike its own reader it checks places, which come from the archive. */
class FileReader extends RandomAccessReader {
  constructor(
    private readonly descriptor: number,
    private readonly size: number,
  ) {
    super();
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, got?: number) => void,
  ): void {
    if (!(position >= 0 && position + length <= this.size))
      callback(new Error(`it points to byte ${position + length} of ${this.size}`));
    else callback(null, readSync(this.descriptor, buffer, offset, length, position));
  }
}
