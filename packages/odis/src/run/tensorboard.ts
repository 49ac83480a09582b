import { closeSync, openSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { makeFolder, syncFile } from "../core/index.js";

/**
 * Scalars for TensorBoard: a file of TFRecords, each one Event protocol buffer.
 *
 * A resumed run writes another file into the same folder whose first event tells the reader to
 * forget what older files say about steps that are done again.
 */
export class EventWriter implements Disposable {
  private descriptor: number | undefined;
  readonly path: string;

  /**
   * @param folder made when it is missing
   * @param purgeStep first step that will be written again, when a run resumes
   */
  constructor(folder: string, purgeStep?: number) {
    makeFolder(folder);
    const began = Date.now() / 1000;
    const opened = openNew(folder, `events.out.tfevents.${Math.floor(began)}.${hostname()}`);
    this.descriptor = opened.descriptor;
    this.path = opened.path;
    this.write([double(1, began), text(3, "brain.Event:2")]);
    if (purgeStep !== undefined)
      this.write([double(1, began), integer(2, purgeStep), bytes(7, integer(1, sessionStart))]);
  }

  /** @param values by tag; a slash in a tag groups charts */
  scalars(
    step: number,
    values: Readonly<Record<string, number>>,
    seconds = Date.now() / 1000,
  ): void {
    const summary = Object.entries(values).map(([tag, value]) =>
      bytes(1, Buffer.concat([text(1, tag), float(2, value)])),
    );
    this.write([double(1, seconds), integer(2, step), bytes(5, Buffer.concat(summary))]);
  }

  flush(): void {
    if (this.descriptor !== undefined) syncFile(this.descriptor);
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  private write(fields: readonly Buffer[]): void {
    if (this.descriptor === undefined) throw new Error(`internal: write to closed ${this.path}`);
    // Not writeSync: a disk that is nearly full takes a part and says nothing.
    writeFileSync(this.descriptor, record(Buffer.concat(fields)));
  }
}

/** Two sessions of one second must not share a file. */
function openNew(folder: string, name: string): { path: string; descriptor: number } {
  for (let number = 0; ; number += 1) {
    const path = join(folder, `${name}.${process.pid}.${number}`);
    try {
      return { path, descriptor: openSync(path, "ax") };
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
}

/** TFRecord: length, its checksum, data, its checksum. */
function record(data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(data.length));
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc(data));
  return Buffer.concat([head, data, tail]);
}

/** Masked, because a checksum of data that holds checksums is weak (TFRecord's definition). */
function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (Castagnoli), RFC 3720 appendix B.4. */
export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

// Protocol buffers: every field is (number << 3 | wire type), then its value.
const sessionStart = 1;

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80); // not >>: steps may pass 2^31
  }
  return Buffer.from([...out, rest]);
}

const key = (field: number, wire: number): Buffer => varint(field * 8 + wire);

function integer(field: number, value: number): Buffer {
  return Buffer.concat([key(field, 0), varint(value)]);
}

function double(field: number, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeDoubleLE(value);
  return Buffer.concat([key(field, 1), out]);
}

function float(field: number, value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeFloatLE(value);
  return Buffer.concat([key(field, 5), out]);
}

function bytes(field: number, value: Uint8Array): Buffer {
  return Buffer.concat([key(field, 2), varint(value.length), value]);
}

function text(field: number, value: string): Buffer {
  return bytes(field, Buffer.from(value, "utf8"));
}
