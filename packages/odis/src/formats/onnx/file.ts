import { writeSync } from "node:fs";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { replaceFile } from "@odis/torch";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  TensorProtoSchema,
} from "onnx-buf";
import { ConfigError } from "../../core/index.js";
import { type Constant, type GraphBuilder, onnxTypes } from "./builder.js";

// Of 2022 and later; every operator that is used has been there since then. Debian 12's checker reads it, too.
const opset = 17n;
const irVersion = 8n;

// Field numbers of onnx.proto, for the fields that are written piece by piece.
const graphOfModel = 7;
const constantOfGraph = 5;
const dataOfConstant = 9;

/** Bytes that one protobuf message can have. */
const largestModel = 2 ** 31 - 1;

const elementBytes = { float32: 4, float16: 2, int64: 8, bool: 1 } as const;

/**
 * Writes a model. Weights follow one another without being in memory together, so the two messages
 * that hold them are put together here from their lengths.
 *
 * @throws ConfigError, before anything is written, when the model is too large for the format
 */
export function writeModel(
  path: string,
  graph: GraphBuilder,
  metadata: Readonly<Record<string, string>>,
): void {
  const { nodes: node, inputs: input, outputs: output, constants } = graph;
  const around = toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion,
      producerName: "odis",
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: "", version: opset })],
      metadataProps: Object.entries(metadata).map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      ),
    }),
  );
  const plan = toBinary(
    GraphProtoSchema,
    create(GraphProtoSchema, { name: "odis", node, input, output }),
  );
  const heads = constants.map(constantHead);
  const graphBytes = heads.reduce(
    (sum, head, at) => sum + head.length + dataBytes(constants[at]!),
    plan.length,
  );
  const start = prefix(graphOfModel, graphBytes);
  const total = around.length + start.length + graphBytes;
  if (total > largestModel)
    throw new ConfigError(
      `export: the model would have ${total} bytes; an ONNX file can have ${largestModel}. Give --half, ` +
        `or another format.`,
    );
  replaceFile(path, (descriptor) => {
    const append = (bytes: Uint8Array): void => {
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
    };
    for (const piece of [around, start, plan]) append(piece);
    for (const [at, constant] of constants.entries()) {
      append(heads[at]!);
      append(constant.bytes());
    }
  });
}

/** A constant's message up to its elements, with the field that it is in the graph. */
function constantHead(constant: Constant): Uint8Array {
  const { name, type, shape } = constant;
  const described = toBinary(
    TensorProtoSchema,
    create(TensorProtoSchema, { name, dataType: onnxTypes[type], dims: shape.map(BigInt) }),
  );
  const bytes = dataBytes(constant);
  const data = prefix(dataOfConstant, bytes);
  const whole = prefix(constantOfGraph, described.length + data.length + bytes);
  return Buffer.concat([whole, described, data]);
}

function dataBytes({ shape, type }: Constant): number {
  return shape.reduce((product, side) => product * side, elementBytes[type]);
}

/** What stands before a field of so many bytes. */
function prefix(field: number, bytes: number): Uint8Array {
  return new BinaryWriter()
    .tag(field, WireType.LengthDelimited)
    .uint32(Math.min(bytes, 2 ** 32 - 1))
    .finish();
}
