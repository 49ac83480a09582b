import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { arrayOf, type TypedArray } from "./dtype.js";
import { replaceFile } from "./replace-file.js";
import {
  tensorBytes,
  formatHeader,
  type Header,
  longestHeader,
  parseHeader,
  prefixBytes,
  SafetensorsError,
  type TensorInfo,
} from "./safetensors-header.js";

export { SafetensorsError, type TensorInfo, tensorBytes } from "./safetensors-header.js";

/** A tensor in host memory. */
export interface HostTensor extends TensorInfo {
  /** row-major elements */
  readonly data: TypedArray;
}

/** A tensor to write. `data` is asked for when its turn comes, so only one need be in memory. */
export interface TensorEntry extends TensorInfo {
  readonly name: string;
  readonly data: () => TypedArray;
}

/** What was written. */
export interface WrittenFile {
  readonly bytes: number;
  /** of the whole file, hexadecimal */
  readonly sha256: string;
}

// One system call moves at most 2^31 - 1 bytes; smaller pieces also keep the hash in cache.
const pieceBytes = 1 << 24;

/** An open file, its header checked; tensors are read one at a time, each into new memory. */
export class SafetensorsFile implements Disposable {
  private descriptor: number | undefined;

  /** Use `openSafetensors`. */
  constructor(
    readonly path: string,
    descriptor: number,
    private readonly header: Header,
  ) {
    this.descriptor = descriptor;
  }

  get metadata(): Readonly<Record<string, string>> {
    return this.header.metadata;
  }

  /** In the order of their bytes in the file. */
  get names(): readonly string[] {
    return [...this.header.tensors.keys()];
  }

  has(name: string): boolean {
    return this.header.tensors.has(name);
  }

  /** @throws SafetensorsError when the file has no such tensor */
  info(name: string): TensorInfo {
    const { dtype, shape } = this.stored(name);
    return { dtype, shape };
  }

  /** @throws SafetensorsError when the file has no such tensor, is closed, or shrank meanwhile */
  read(name: string): TypedArray {
    const { dtype, shape, begin, end } = this.stored(name);
    if (this.descriptor === undefined)
      throw new SafetensorsError(this.path, `read of ${JSON.stringify(name)} after close().`);
    const memory = new ArrayBuffer(end - begin);
    for (let done = 0; done < memory.byteLength; ) {
      const piece = new Uint8Array(memory, done, Math.min(pieceBytes, memory.byteLength - done));
      const got = readSync(this.descriptor, piece, 0, piece.length, begin + done);
      if (got === 0)
        throw new SafetensorsError(
          this.path,
          `the file shrank while it was read: tensor ${JSON.stringify(name)} of shape ` +
            `[${shape.join(", ")}] ends after ${done} of ${memory.byteLength} bytes. Copy it again.`,
        );
      done += got;
    }
    return new arrayOf[dtype](memory);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private stored(name: string) {
    const stored = this.header.tensors.get(name);
    if (stored) return stored;
    const names = this.names.slice(0, 5).join(", ");
    throw new SafetensorsError(
      this.path,
      `no tensor ${JSON.stringify(name)}. The file has ${this.names.length}: ` +
        `${names}${this.names.length > 5 ? ", …" : ""}.`,
    );
  }
}

/**
 * Opens a file and checks its header against its size; no tensor is read yet.
 *
 * @throws SafetensorsError when the file is missing, torn or not a safetensors file
 */
export function openSafetensors(path: string): SafetensorsFile {
  let descriptor: number;
  try {
    // Without O_NONBLOCK the opening of a pipe waits for its other end.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const reason = isSystemError(error) && error.code === "ENOENT" ? "no such file" : String(error);
    throw new SafetensorsError(path, `cannot be opened: ${reason}.`, { cause: error });
  }
  try {
    return new SafetensorsFile(path, descriptor, readHeader(path, descriptor));
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function readHeader(path: string, descriptor: number): Header {
  const stats = fstatSync(descriptor);
  if (!stats.isFile()) throw new SafetensorsError(path, "is not a file.");
  const prefix = Buffer.alloc(prefixBytes);
  const got = readSync(descriptor, prefix, 0, prefixBytes, 0);
  if (got < prefixBytes)
    throw new SafetensorsError(
      path,
      `the file is torn: it has ${got} bytes, wanted at least ${prefixBytes}. Copy or write it again.`,
    );
  const length = prefix.readBigUInt64LE(0);
  if (length > BigInt(longestHeader))
    throw new SafetensorsError(
      path,
      `says that its header has ${length} bytes; ${longestHeader} is the limit. ` +
        `This is not a safetensors file, or its start is damaged; use another copy.`,
    );
  const available = stats.size - prefixBytes;
  if (length > BigInt(available))
    throw new SafetensorsError(
      path,
      `the file is torn, or not a safetensors file: it holds ${available} of ${length} header bytes. ` +
        `Copy or write it again.`,
    );
  const text = Buffer.alloc(Number(length));
  readSync(descriptor, text, 0, text.length, prefixBytes);
  return parseHeader(path, text, stats.size);
}

/** Reads a whole file. For large files, or for a few tensors of one, use `openSafetensors`. */
export function readSafetensors(path: string): ReadonlyMap<string, HostTensor> {
  using file = openSafetensors(path);
  return new Map(file.names.map((name) => [name, { ...file.info(name), data: file.read(name) }]));
}

/**
 * Writes a file tensor by tensor. It appears under `path` only when it is complete and on the
 * disk; an older file there is replaced then, and stays whole if anything goes wrong.
 *
 * @param metadata texts kept in the file's header
 * @throws SafetensorsError for impossible entries, or with the file system's error as its cause
 */
export function writeSafetensors(
  path: string,
  entries: Iterable<TensorEntry>,
  metadata: Readonly<Record<string, string>> = {},
): WrittenFile {
  // Wider elements first: every tensor is then aligned, whatever the sizes before it.
  const width = ({ dtype }: TensorEntry): number => arrayOf[dtype].BYTES_PER_ELEMENT;
  const tensors = [...entries].toSorted((a, b) => width(b) - width(a));
  checkEntries(path, tensors);
  const header = formatHeader(tensors, metadata);
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeBigUInt64LE(BigInt(header.length));
  try {
    return replaceFile(path, (descriptor) => {
      const hash = createHash("sha256");
      let bytes = 0;
      const append = (chunk: Uint8Array): void => {
        for (let done = 0; done < chunk.length; ) {
          const piece = chunk.subarray(done, done + pieceBytes);
          const count = writeSync(descriptor, piece, 0, piece.length, bytes);
          hash.update(piece.subarray(0, count));
          done += count;
          bytes += count;
        }
      };
      append(prefix);
      append(header);
      for (const tensor of tensors) append(bytesOf(path, tensor));
      return { bytes, sha256: hash.digest("hex") };
    });
  } catch (error) {
    if (error instanceof SafetensorsError || !isSystemError(error)) throw error;
    throw new SafetensorsError(path, `cannot be written: ${error.message}.`, { cause: error });
  }
}

function checkEntries(path: string, tensors: readonly TensorEntry[]): void {
  const seen = new Set<string>();
  for (const { name, dtype, shape } of tensors) {
    const where = `tensor ${JSON.stringify(name)}`;
    if (seen.has(name)) throw new SafetensorsError(path, `${where} is given twice.`);
    if (name === "__metadata__")
      throw new SafetensorsError(
        path,
        `${where}: this name is the format's own; rename the tensor.`,
      );
    if (
      !(
        shape.every((side) => Number.isSafeInteger(side) && side >= 0) &&
        Number.isSafeInteger(tensorBytes({ dtype, shape }))
      )
    )
      throw new SafetensorsError(
        path,
        `${where} has shape [${shape.join(", ")}], wanted sizes from 0 up.`,
      );
    seen.add(name);
  }
}

function bytesOf(path: string, { name, dtype, shape, data }: TensorEntry): Uint8Array {
  const array = data();
  const wanted = arrayOf[dtype];
  const elements = tensorBytes({ dtype, shape }) / wanted.BYTES_PER_ELEMENT;
  if (!(array instanceof wanted) || array.length !== elements)
    throw new SafetensorsError(
      path,
      `tensor ${JSON.stringify(name)}: got ${array.constructor.name} of ${array.length}, ` +
        `wanted ${wanted.name} of ${elements} for ${dtype} of shape [${shape.join(", ")}].`,
    );
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && "syscall" in error;
}
