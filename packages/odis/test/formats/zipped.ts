import { crc32, deflateRawSync } from "node:zlib";

/** A zip archive of these entries, each packed. */
export function zipped(entries: Readonly<Record<string, Uint8Array>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, bytes] of Object.entries(entries)) {
    const packed = deflateRawSync(bytes);
    const title = Buffer.from(name);
    // version, flags, method 8, time, date, CRC-32, sizes, length of the name and of what is extra
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(title.length, 22);
    const place = Buffer.alloc(14); // comment, disk, attributes, and where it lies
    place.writeUInt32LE(at, 10);
    parts.push(Buffer.from("PK\x03\x04"), common, title, packed);
    directory.push(Buffer.from("PK\x01\x02\x14\x00"), common, place, title);
    at += 4 + common.length + title.length + packed.length;
  }
  const listed = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  const count = Object.keys(entries).length;
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(listed.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...parts, listed, Buffer.from("PK\x05\x06"), end]);
}
