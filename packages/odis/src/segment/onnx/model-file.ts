import { DataError, FileProblem, openRegular, plain, readRange } from "../../core/index.js";

/** What an ONNX file says of itself beside its graph. */
export interface ModelFacts {
  /** the program that wrote it; empty if it does not say */
  readonly producer: string;
  /** texts by name that exporters leave, such as Ultralytics' `names` and `stride` */
  readonly metadata: ReadonlyMap<string, string>;
  /** files beside it that hold weights, as the model names them */
  readonly external: readonly string[];
}

/** A field of a protobuf message: what it is, and where its bytes lie. */
interface Field {
  readonly number: number;
  readonly isBytes: boolean;
  readonly at: number;
  readonly length: number;
}

/** Texts longer than this are no metadata that anybody reads here. */
const LONGEST_TEXT = 1 << 20;
const MOST_TEXTS = 10_000;

/** Fields of onnx.proto: ModelProto, GraphProto, TensorProto, StringStringEntryProto. */
const model = { producer: 2, graph: 7, opset: 8, metadata: 14 } as const;
const graph = { initializer: 5 } as const;
const tensor = { external: 13 } as const;
const entry = { key: 1, value: 2 } as const;

/**
 * Reads the outer layer of an ONNX file, whatever its size: weights are stepped over. Sees at once
 * what is no ONNX file, or ends too early.
 *
 * @throws DataError saying what the file is instead
 */
export async function readModelFacts(path: string): Promise<ModelFacts> {
  const where = `network ${plain(path)}`;
  try {
    const { file, size } = await openRegular(path);
    try {
      return await new ModelReader(where, size, (at, length) => readRange(file, at, length)).read();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${where} ${cause.message}`, { cause });
  }
}

/** Bytes that are read ahead; headers of fields are a few bytes each. */
const AHEAD = 1 << 16;

class ModelReader {
  private window: { readonly at: number; readonly bytes: Buffer } = {
    at: 0,
    bytes: Buffer.alloc(0),
  };
  private producer = "";
  private readonly metadata = new Map<string, string>();
  private readonly external: string[] = [];

  constructor(
    private readonly where: string,
    private readonly size: number,
    private readonly readBytes: (at: number, length: number) => Promise<Buffer>,
  ) {}

  async read(): Promise<ModelFacts> {
    if (this.size === 0) throw new DataError(`${this.where} is empty; wanted an ONNX file`);
    let [hasGraph, hasOpset] = [false, false];
    for await (const field of this.fields(0, this.size)) {
      if (field.number === model.graph && field.isBytes) {
        hasGraph = true;
        await this.readGraph(field);
      } else if (field.number === model.opset && field.isBytes) hasOpset = true;
      else if (field.number === model.producer && field.isBytes)
        this.producer = await this.text(field);
      else if (field.number === model.metadata && field.isBytes) {
        const [key, value] = await this.pair(field);
        if (this.metadata.size < MOST_TEXTS) this.metadata.set(key, value);
      }
    }
    if (!hasGraph || !hasOpset) throw this.foreign("it names no graph and operator set");
    return { producer: this.producer, metadata: this.metadata, external: this.external };
  }

  private async readGraph({ at, length }: Field): Promise<void> {
    for await (const field of this.fields(at, at + length)) {
      if (field.number !== graph.initializer || !field.isBytes) continue;
      for await (const part of this.fields(field.at, field.at + field.length)) {
        if (part.number !== tensor.external || !part.isBytes) continue;
        const [key, value] = await this.pair(part);
        if (key === "location" && !this.external.includes(value)) this.external.push(value);
        if (this.external.length > MOST_TEXTS)
          throw new DataError(`${this.where} keeps its weights in more than ${MOST_TEXTS} files`);
      }
    }
  }

  private async pair({ at, length }: Field): Promise<readonly [string, string]> {
    const texts = new Map<number, string>();
    for await (const field of this.fields(at, at + length))
      if (field.isBytes) texts.set(field.number, await this.text(field));
    return [texts.get(entry.key) ?? "", texts.get(entry.value) ?? ""];
  }

  private async text({ at, length }: Field): Promise<string> {
    return (await this.readBytes(at, Math.min(length, LONGEST_TEXT))).toString("utf8");
  }

  /** The fields between two places; every one lies wholly inside. */
  private async *fields(from: number, end: number): AsyncGenerator<Field> {
    for (let at = from; at < end; ) {
      const [key, afterKey] = await this.varint(at, end);
      const [number, kind] = [Math.floor(key / 8), key % 8];
      if (number === 0) throw this.foreign(`byte ${at} begins no field`);
      const [length, start] = await this.extent(kind, afterKey, end);
      if (start + length > end) throw this.cut(start + length, end);
      yield { number, isBytes: kind === 2, at: start, length };
      at = start + length;
    }
  }

  /** How long a field's value is, and where it begins, by its wire type. */
  private async extent(kind: number, at: number, end: number): Promise<readonly [number, number]> {
    if (kind === 0) return [(await this.varint(at, end))[1] - at, at];
    if (kind === 1) return [8, at];
    if (kind === 5) return [4, at];
    if (kind === 2) return this.varint(at, end);
    throw this.foreign(`byte ${at} begins no field`);
  }

  private async varint(at: number, end: number): Promise<readonly [number, number]> {
    let value = 0;
    for (let weight = 1, next = at; weight < 2 ** 70; weight *= 128, next += 1) {
      if (next >= end) throw this.cut(next + 1, end);
      const byte = await this.byte(next);
      value += (byte & 127) * weight;
      if (byte < 128) return [value, next + 1];
    }
    throw this.foreign(`the number at byte ${at} has no end`);
  }

  private async byte(at: number): Promise<number> {
    const { window } = this;
    if (at < window.at || at >= window.at + window.bytes.length)
      this.window = { at, bytes: await this.readBytes(at, Math.min(AHEAD, this.size - at)) };
    return this.window.bytes[at - this.window.at]!;
  }

  private foreign(reason: string): DataError {
    return new DataError(`${this.where} is no ONNX file (${reason})`);
  }

  private cut(wanted: number, end: number): DataError {
    return end === this.size
      ? new DataError(
          `${this.where} is no whole ONNX file: it has ${this.size} bytes, a part of it would reach to ` +
            `byte ${wanted}. If it was downloaded, the download broke off`,
        )
      : this.foreign("a part reaches over the end of the one that holds it");
  }
}
