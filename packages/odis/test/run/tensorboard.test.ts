import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { crc32c, EventWriter } from "../../src/run/tensorboard.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();

/** Bit by bit, straight from the definition: the witness for the table. */
function slowCrc32c(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data)
    for (let bit = 0; bit < 8; bit += 1) {
      const low = ((crc ^ (byte >> bit)) & 1) === 1;
      crc = (crc >>> 1) ^ (low ? 0x82f63b78 : 0);
    }
  return ~crc >>> 0;
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** TFRecords of a file; both checksums are verified. */
function records(path: string): readonly Buffer[] {
  const file = readFileSync(path);
  const out: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    expect(unmask(file.readUInt32LE(at + 8))).toBe(slowCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmask(file.readUInt32LE(at + 12 + length))).toBe(slowCrc32c(data));
    out.push(data);
    at += 16 + length;
  }
  return out;
}

/** Fields of a protocol buffer message by number; messages inside stay bytes. */
function fields(message: Buffer): ReadonlyMap<number, readonly (bigint | Buffer)[]> {
  const out = new Map<number, (bigint | Buffer)[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const take = (count: number): Buffer => message.subarray(at, (at += count));
  while (at < message.length) {
    const tag = varint();
    const [number, wire] = [Number(tag >> 3n), Number(tag & 7n)];
    const value =
      wire === 0 ? varint() : wire === 1 ? take(8) : wire === 5 ? take(4) : take(Number(varint()));
    out.set(number, [...(out.get(number) ?? []), value]);
  }
  return out;
}
const bytesOf = (value: bigint | Buffer | undefined): Buffer => {
  if (!Buffer.isBuffer(value)) throw new Error(`wanted bytes, got ${value}`);
  return value;
};

function event(record: Buffer) {
  const message = fields(record);
  const summary = message.get(5)?.map(bytesOf)[0];
  const session = message.get(7)?.map(bytesOf)[0];
  return {
    wallTime: bytesOf(message.get(1)?.[0]).readDoubleLE(),
    step: message.get(2)?.[0],
    version: message.get(3)?.map(String)[0],
    values: summary
      ? (fields(summary).get(1) ?? []).map((value) => {
          const entry = fields(bytesOf(value));
          return [String(entry.get(1)?.[0]), bytesOf(entry.get(2)?.[0]).readFloatLE()] as const;
        })
      : undefined,
    sessionStatus: session ? fields(session).get(1)?.[0] : undefined,
  };
}

describe("crc32c", () => {
  it("equals the published vectors (RFC 3720, B.4)", () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index))).toBe(0x46dd794e);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, index) => 31 - index))).toBe(0x113fdb5c);
    expect(crc32c(Buffer.from("123456789"))).not.toBe(crc32("123456789"));
  });
});

describe("EventWriter", () => {
  it("writes scalars that an independent parser reads back", () => {
    const writer = new EventWriter(join(scratch(), "events"));
    writer.scalars(0, { "loss/total": 5.25, lr: 0.001 }, 1000.5);
    writer.scalars(2 ** 33 + 1, { "loss/total": Number.NaN }, 1001);
    writer.close();
    const [first, second, third] = records(writer.path).map(event);
    expect(first).toMatchObject({ version: "brain.Event:2", step: undefined });
    expect(first?.wallTime).toBeGreaterThan(1.7e9);
    expect(second).toMatchObject({
      wallTime: 1000.5,
      step: 0n,
      values: [
        ["loss/total", 5.25],
        ["lr", Math.fround(0.001)],
      ],
    });
    expect(third).toMatchObject({ step: 2n ** 33n + 1n, values: [["loss/total", Number.NaN]] });
  });

  it("resumes in a file of its own, which tells the reader what to forget", () => {
    const folder = join(scratch(), "events");
    new EventWriter(folder).close();
    const resumed = new EventWriter(folder, 700);
    resumed.close();
    expect(readdirSync(folder)).toHaveLength(2);
    expect(readdirSync(folder).every((name) => name.startsWith("events.out.tfevents."))).toBe(true);
    const [first, start] = records(resumed.path).map(event);
    expect(first?.version).toBe("brain.Event:2");
    expect(start).toMatchObject({ step: 700n, sessionStatus: 1n });
  });
});
