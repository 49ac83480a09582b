import { create } from "@bufbuild/protobuf";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  TensorProto_DataType,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "onnx-buf";

/** Element types of what a graph computes with. */
export const onnxTypes = {
  float32: TensorProto_DataType.FLOAT,
  float16: TensorProto_DataType.FLOAT16,
  int64: TensorProto_DataType.INT64,
  bool: TensorProto_DataType.BOOL,
} as const;
export type OnnxType = keyof typeof onnxTypes;

/** A value of a graph, by its name. */
export type Value = string;

/** A tensor that a file carries; its bytes are asked for when it is written. */
export interface Constant {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly number[];
  /** little-endian, row by row */
  readonly bytes: () => Uint8Array;
}

type Attribute = number | readonly number[] | string | { readonly float: number };

/**
 * A graph of ONNX operators, put together one after the other. Letters and sizes in the shapes of
 * inputs and outputs are dynamic and fixed axes.
 */
export class GraphBuilder {
  readonly nodes: NodeProto[] = [];
  readonly constants: Constant[] = [];
  readonly inputs: ValueInfoProto[] = [];
  readonly outputs: ValueInfoProto[] = [];
  private readonly small = new Map<string, Value>();

  input(name: string, type: OnnxType, shape: readonly (number | string)[]): Value {
    this.inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(value: Value, name: string, type: OnnxType, shape: readonly (number | string)[]): void {
    this.nodes.push(
      create(NodeProtoSchema, { opType: "Identity", input: [value], output: [name] }),
    );
    this.outputs.push(valueInfo(name, type, shape));
  }

  /** A weight, of any size. */
  weight(constant: Constant): Value {
    this.constants.push(constant);
    return constant.name;
  }

  /** Whole numbers, [n]; a single one without its brackets is a scalar. */
  ints(values: number | readonly number[]): Value {
    const list = typeof values === "number" ? [values] : values;
    return this.constant("int64", values, BigInt64Array.from(list, BigInt));
  }

  floats(values: number | readonly number[]): Value {
    const list = typeof values === "number" ? [values] : values;
    return this.constant("float32", values, Float32Array.from(list));
  }

  /** One operator with one output. Absent inputs are left out by undefined. */
  op(
    type: string,
    inputs: readonly (Value | undefined)[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): Value {
    return this.ops(type, inputs, 1, attributes)[0]!;
  }

  ops(
    type: string,
    inputs: readonly (Value | undefined)[],
    outputs: number,
    attributes: Readonly<Record<string, Attribute>> = {},
  ): readonly Value[] {
    const made = Array.from({ length: outputs }, (_, at) => `${type}_${this.nodes.length}.${at}`);
    this.nodes.push(
      create(NodeProtoSchema, {
        opType: type,
        name: `${type}_${this.nodes.length}`,
        input: inputs.map((input) => input ?? ""),
        output: made,
        attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      }),
    );
    return made;
  }

  private constant(
    type: "int64" | "float32",
    values: number | readonly number[],
    data: BigInt64Array | Float32Array,
  ): Value {
    const name = `${type}(${String(values)})${typeof values === "number" ? "" : "[]"}`;
    const known = this.small.get(name);
    if (known !== undefined) return known;
    this.small.set(name, name);
    const shape = typeof values === "number" ? [] : [values.length];
    return this.weight({ name, type, shape, bytes: () => bytesOf(data) });
  }
}

export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function valueInfo(
  name: string,
  type: OnnxType,
  shape: readonly (number | string)[],
): ValueInfoProto {
  const dim = shape.map((side) =>
    typeof side === "number"
      ? { value: { case: "dimValue" as const, value: BigInt(side) } }
      : { value: { case: "dimParam" as const, value: side } },
  );
  const tensorType = create(TypeProto_TensorSchema, {
    elemType: onnxTypes[type],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensorType } }),
  });
}

function attribute(name: string, value: Attribute): AttributeProto {
  const { INT, INTS, STRING, FLOAT } = AttributeProto_AttributeType;
  if (typeof value === "number")
    return create(AttributeProtoSchema, { name, type: INT, i: BigInt(value) });
  if (typeof value === "string")
    return create(AttributeProtoSchema, { name, type: STRING, s: new TextEncoder().encode(value) });
  if ("float" in value) return create(AttributeProtoSchema, { name, type: FLOAT, f: value.float });
  return create(AttributeProtoSchema, { name, type: INTS, ints: value.map(BigInt) });
}
