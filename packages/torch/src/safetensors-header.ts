import { arrayOf, type DType } from "./dtype.js";
import { EngineError } from "./errors.js";

/**
 * A safetensors file that cannot be read, or cannot be written as asked. Nothing in such a file
 * is ever executed; nothing of it is returned either.
 */
export class SafetensorsError extends EngineError {
  constructor(
    readonly path: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${path}: ${problem}`, options);
  }
}

/** Type and shape of a stored tensor. */
export interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Where a tensor's bytes lie, counted from the start of the file. */
export interface StoredTensor extends TensorInfo {
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  /** in the order of their bytes */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

const dtypes = new Map<unknown, DType>([
  ["F32", "float32"],
  ["F64", "float64"],
  ["F16", "float16"],
  ["BF16", "bfloat16"],
  ["I64", "int64"],
  ["I32", "int32"],
  ["U8", "uint8"],
  ["BOOL", "bool"],
]);
const codes = new Map([...dtypes].map(([code, dtype]) => [dtype, code]));

/** Bytes before the header's text: its length as a little-endian 64-bit number. */
export const prefixBytes = 8;

/** Headers beyond this are refused before memory is set aside; the format's own limit. */
export const longestHeader = 100_000_000;

// Tensors of sizes: a real header has three levels.
const deepestHeader = 8;

/** Bytes of a tensor; NaN or Infinity when the shape overflows. */
export function tensorBytes({ dtype, shape }: TensorInfo): number {
  return shape.reduce((product, side) => product * side, arrayOf[dtype].BYTES_PER_ELEMENT);
}

/** Text of a header for tensors stored one after the other, padded to a multiple of 8 bytes. */
export function formatHeader(
  tensors: readonly (TensorInfo & { readonly name: string })[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  let offset = 0;
  const entries = tensors.map(({ name, dtype, shape }) => {
    const begin = offset;
    offset += tensorBytes({ dtype, shape });
    return [name, { dtype: codes.get(dtype), shape, data_offsets: [begin, offset] }] as const;
  });
  const described =
    Object.keys(metadata).length > 0 ? [["__metadata__", metadata] as const, ...entries] : entries;
  // Written by hand, not from an object: an object would move names like "0" to the front.
  const text = `{${described
    .map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
    .join(",")}}`;
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8, " ")]);
}

/**
 * Reads and checks a header: every byte of the file belongs to exactly one tensor.
 *
 * @param path for messages
 * @param text the header's bytes
 * @param fileBytes size of the whole file
 * @throws SafetensorsError naming the first thing that is wrong
 */
export function parseHeader(path: string, text: Buffer, fileBytes: number): Header {
  const fail = (problem: string, cause?: unknown): never => {
    throw new SafetensorsError(path, problem, cause === undefined ? undefined : { cause });
  };
  const foreign = "This is not a safetensors file, or its start is damaged; use another copy.";
  if (deeperThan(text, deepestHeader))
    return fail(
      `the header has lists or objects in one another more than ${deepestHeader} levels deep. ${foreign}`,
    );
  let decoded: string;
  let parsed: unknown;
  try {
    decoded = new TextDecoder("utf8", { fatal: true }).decode(text);
    parsed = JSON.parse(decoded);
  } catch (error) {
    return fail(`the header of ${text.length} bytes is not JSON text. ${foreign}`, error);
  }
  if (!isRecord(parsed))
    return fail(`the header is ${describe(parsed)}, wanted an object of tensors. ${foreign}`);
  const twice = firstDuplicateKey(decoded);
  if (twice !== undefined) return fail(`the header names ${JSON.stringify(twice)} twice.`);

  const { __metadata__: metadata = {}, ...entries } = parsed;
  if (!isTexts(metadata))
    return fail(`__metadata__ is ${describe(metadata)}, wanted an object of texts.`);

  const dataStart = prefixBytes + text.length;
  const tensors = Object.entries(entries)
    .map(([name, entry]) => [name, parseEntry(fail, name, entry)] as const)
    .toSorted(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const [name, { begin, end }] of tensors) {
    if (begin !== expected)
      fail(
        `tensor ${JSON.stringify(name)} starts at data byte ${begin}, wanted ${expected}: ` +
          `tensors must neither overlap nor leave holes. Write the file again.`,
      );
    expected = end;
  }
  const dataBytes = fileBytes - dataStart;
  if (dataBytes !== expected)
    fail(
      dataBytes < expected
        ? `the file is torn: it holds ${dataBytes} of ${expected} data bytes. Copy or write it again.`
        : `the file has ${dataBytes - expected} bytes after its last tensor. Write it again.`,
    );
  return {
    metadata,
    tensors: new Map(
      tensors.map(([name, { begin, end, ...info }]) => [
        name,
        { ...info, begin: dataStart + begin, end: dataStart + end },
      ]),
    ),
  };
}

function parseEntry(fail: (problem: string) => never, name: string, entry: unknown): StoredTensor {
  const where = `tensor ${JSON.stringify(name)}`;
  if (!isRecord(entry)) return fail(`${where} is ${describe(entry)}, wanted an object.`);
  const { dtype: code, shape, data_offsets: offsets } = entry;
  const dtype = dtypes.get(code);
  if (!dtype)
    return fail(
      `${where} has dtype ${JSON.stringify(code)}, wanted one of ${[...dtypes.keys()].join(", ")}.`,
    );
  if (!isSizes(shape))
    return fail(`${where} has shape ${JSON.stringify(shape)}, wanted a list of sizes.`);
  const [begin, end, more] = isSizes(offsets) ? offsets : [];
  if (begin === undefined || end === undefined || more !== undefined)
    return fail(
      `${where} has data_offsets ${JSON.stringify(offsets)}, wanted [begin, end] in bytes.`,
    );
  const wanted = tensorBytes({ dtype, shape });
  if (end - begin !== wanted)
    return fail(
      `${where} has ${end - begin} bytes (data_offsets [${begin}, ${end}]), ` +
        `wanted ${wanted} for ${String(code)} of shape [${shape.join(", ")}].`,
    );
  return { dtype, shape, begin, end };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isRecord(value) && Object.values(value).every((text) => typeof text === "string");
}

function isSizes(value: unknown): value is readonly number[] {
  return (
    Array.isArray(value) && value.every((side: number) => Number.isSafeInteger(side) && side >= 0)
  );
}

function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Whether more lists and objects than that are open at once; strings are passed over. */
function deeperThan(text: Buffer, limit: number): boolean {
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at];
    if (byte === 0x22) {
      for (at += 1; at < text.length && text[at] !== 0x22; at += 1) if (text[at] === 0x5c) at += 1;
    } else if (byte === 0x5b || byte === 0x7b) {
      depth += 1;
      if (depth > limit) return true;
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1;
  }
  return false;
}

/** `JSON.parse` keeps the last of two equal keys silently; this finds them. Text must be valid. */
function firstDuplicateKey(text: string): string | undefined {
  const seen = new Set<unknown>();
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "{" || text[at] === "[") depth += 1;
    else if (text[at] === "}" || text[at] === "]") depth -= 1;
    if (text[at] !== '"') continue;
    let end = at + 1;
    while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
    const quoted = text.slice(at, end + 1);
    at = end;
    if (depth !== 1 || !/^\s*:/.test(text.slice(end + 1, end + 65))) continue;
    const name: unknown = JSON.parse(quoted);
    if (seen.has(name)) return String(name);
    seen.add(name);
  }
  return undefined;
}
