import { createRequire } from "node:module";
import { isAbsolute, join, dirname } from "node:path";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import {
  BadImageError,
  exitCodes,
  OdisError,
  plain,
  reasonOf,
  WeightsError,
} from "../../core/index.js";
import { type ModelFacts, readModelFacts } from "./model-file.js";
import { type Neighbours, readNeighbours } from "./neighbours.js";

/** An input or output of a network. */
export interface Port {
  readonly name: string;
  /** float32, int64 … */
  readonly type: string;
  /** a name, or -1, where the size is free */
  readonly shape: readonly (number | string)[];
}

/** What tells networks apart. */
export interface Signature {
  readonly path: string;
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly facts: ModelFacts;
  readonly neighbours: Neighbours;
}

/** Numbers that go in. */
export interface Feed {
  readonly type: "float32" | "int64";
  readonly data: Float32Array | BigInt64Array;
  readonly shape: readonly number[];
}

/** Numbers that come out. */
export interface Values {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** Where a network computes, and with how many threads. */
export interface Execution {
  /** cpu, cuda, tensorrt, webgpu, coreml, directml */
  readonly provider: string;
  readonly threads: number | undefined;
}

type Runtime = typeof import("onnxruntime-node");

/** @throws OdisError saying how to install it */
async function runtime(): Promise<Runtime> {
  try {
    // CommonJS: an import would hide its members behind `default`.
    return createRequire(import.meta.url)("onnxruntime-node") as Runtime;
  } catch (cause) {
    throw new OdisError(
      `networks in ONNX files need the package onnxruntime-node, which does not load here ` +
        `(${plain(reasonOf(cause).split("\n")[0]!)}). Install it with: npm install onnxruntime-node@1.30.0`,
      exitCodes.engine,
      { cause },
    );
  }
}

/** A network of an ONNX file, ready to run. */
export class Network {
  private constructor(
    readonly signature: Signature,
    private readonly session: InferenceSession,
    private readonly ort: Runtime,
  ) {}

  /** @throws WeightsError when the file is no network, or not one for this machine */
  static async open(path: string, { provider, threads }: Execution): Promise<Network> {
    const facts = await readModelFacts(path);
    checkExternal(path, facts);
    const neighbours = await readNeighbours(path);
    const ort = await runtime();
    const session = await ort.InferenceSession.create(path, {
      executionProviders: provider === "cpu" ? ["cpu"] : [provider, "cpu"],
      ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
      logSeverityLevel: 4,
    }).catch((cause: unknown) => {
      throw new WeightsError(plain(path), `onnxruntime refuses it: ${said(cause)}`, { cause });
    });
    const ports = (list: readonly InferenceSession.ValueMetadata[]): Port[] =>
      list.map((port) =>
        port.isTensor
          ? { name: port.name, type: port.type, shape: port.shape }
          : { name: port.name, type: "no tensor", shape: [] },
      );
    const signature = {
      path,
      facts,
      neighbours,
      inputs: ports(session.inputMetadata),
      outputs: ports(session.outputMetadata),
    };
    return new Network(signature, session, ort);
  }

  /**
   * @param feeds by name of the input
   * @param wanted names of outputs
   * @param key names the picture in errors
   * @throws BadImageError when it cannot be computed, or the result is not finite
   */
  async run(
    feeds: Readonly<Record<string, Feed>>,
    wanted: readonly string[],
    key: string,
  ): Promise<Values[]> {
    const given: Record<string, OrtTensor> = {};
    for (const [name, { type, data, shape }] of Object.entries(feeds))
      given[name] = new this.ort.Tensor(type, data as Float32Array, shape);
    const results = await this.session.run(given, wanted).catch((cause: unknown) => {
      throw new BadImageError(key, `${this.name} fails on it: ${said(cause)}`, { cause });
    });
    return wanted.map((name) => {
      const tensor = results[name]!;
      const data = floats(tensor);
      if (!data) throw this.unfit(`output ${show(name)} is ${tensor.type}; wanted numbers`);
      if (!data.every((value) => Number.isFinite(value)))
        throw new BadImageError(key, `${this.name} gives values that are not finite (NaN) for it`);
      return { data, shape: tensor.dims };
    });
  }

  get name(): string {
    return `network ${plain(this.signature.path)}`;
  }

  /** A network that is not what it was taken for. */
  unfit(problem: string): WeightsError {
    return new WeightsError(plain(this.signature.path), problem);
  }

  /**
   * Checks an output's shape; -1 stands for any size.
   *
   * @throws WeightsError
   */
  expect(values: Values, name: string, wanted: readonly number[]): void {
    const { shape } = values;
    const fits =
      shape.length === wanted.length &&
      shape.every((size, at) => wanted[at]! < 0 || size === wanted[at]);
    if (fits) return;
    const text = wanted.map((size) => (size < 0 ? "?" : size)).join(", ");
    throw this.unfit(`output ${show(name)} has the shape [${shape.join(", ")}]; wanted [${text}]`);
  }

  async close(): Promise<void> {
    await this.session.release();
  }
}

const show = (name: string): string => `"${plain(name)}"`;

/** onnxruntime's words, as one short sentence without its source code's places. */
function said(cause: unknown): string {
  const [line = ""] = reasonOf(cause)
    .replaceAll(/\/[^\s:]*\.(cc|h|cpp):\d+\s*\S*\s*/g, "")
    .split("\n");
  return plain(line.trim() || "it gives no reason");
}

/** Weights may lie beside the model, nowhere else. */
function checkExternal(path: string, { external }: ModelFacts): void {
  const outside = external.find(
    (file) => isAbsolute(file) || file.split(/[\\/]/).includes("..") || file.includes("\0"),
  );
  if (outside === undefined) return;
  throw new WeightsError(
    plain(path),
    `keeps weights in the file ${show(outside)}, which is not in its own folder. That is not followed`,
  );
}

function floats({ data, type }: OrtTensor): Float32Array | undefined {
  if (data instanceof Float32Array) return data;
  if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    return Float32Array.from(data as BigInt64Array, Number);
  if (type === "string" || type === "float16" || !ArrayBuffer.isView(data)) return undefined;
  return Float32Array.from(data as Int32Array);
}

/** The files that make a network, for its hash: the model and its weights beside it. */
export async function filesOf(path: string): Promise<readonly string[]> {
  const { external } = await readModelFacts(path);
  return [path, ...external.map((file) => join(dirname(path), file))];
}
