import type { TensorInfo, TypedArray } from "@odis/torch";

/** A leaf of a file that is not a tensor: an epoch, an option of the training that made it. */
export type PlainValue = string | number | boolean;

/** An open file of named tensors, whatever its format. Tensors are read one at a time. */
export interface WeightFile extends Disposable {
  readonly path: string;
  /** full names, e.g. `teacher.backbone.blocks.0.attn.qkv.weight` */
  readonly names: readonly string[];
  /** what else it says, by full name */
  readonly plain: ReadonlyMap<string, PlainValue>;
  /** tensors that are there and cannot be read, with what they are, e.g. "a tensor of int8" */
  readonly unreadable: ReadonlyMap<string, string>;
  has(name: string): boolean;
  info(name: string): TensorInfo;
  /** row-major elements, in memory of their own */
  read(name: string): TypedArray;
}
