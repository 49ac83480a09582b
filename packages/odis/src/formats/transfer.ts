import type { Tensor } from "@odis/torch";
import { plain, WeightsError } from "../core/index.js";
import type { WeightSource } from "./find.js";

/** Reads what the file holds for a weight: float32, in the shape of `WeightSource`. */
export type ReadWeight = (found: WeightSource) => Tensor;

/** A weight that is taken from the file. */
export interface TakenWeight {
  readonly to: string;
  readonly from: readonly string[];
  /** what is done to it on the way, when it is not just copied */
  readonly how?: string | undefined;
}

export interface Transfer extends TakenWeight {
  readonly make: (read: ReadWeight) => Tensor;
}

/** A weight of the network to be filled. */
export interface NetworkWeight {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Whether a tensor of the file has the elements of a weight; axes of length 1 do not count. */
export function fits(found: WeightSource, { shape }: NetworkWeight): boolean {
  const plain = (sides: readonly number[]): string => sides.filter((side) => side !== 1).join();
  return plain(found.shape) === plain(shape);
}

export function copy(found: WeightSource, { name, shape }: NetworkWeight, how?: string): Transfer {
  const joined = found.from.length > 1 ? `joined from ${found.from.length} tensors` : undefined;
  return {
    to: name,
    from: found.from,
    how: how ?? joined,
    make: (read) => read(found).reshape(shape),
  };
}

export function misfit(
  file: string,
  found: WeightSource | undefined,
  { name, shape }: NetworkWeight,
  remedy: string,
): WeightsError {
  const got = found
    ? `shape [${found.shape.join(", ")}] (${found.from.map(plain).join(", ")})`
    : "nothing";
  return new WeightsError(
    file,
    `weight ${name}: got ${got}, wanted shape [${shape.join(", ")}]. ${remedy}`,
  );
}
