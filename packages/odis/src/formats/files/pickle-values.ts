import { plain } from "../../core/index.js";

/** What a pickle can hold here. Tuples, lists and sets are arrays; dicts are maps, in their order. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>
  | PickleGlobal
  | PickleObject;

/** A name of Python's that the reader understands, such as `collections.OrderedDict`. */
export class PickleGlobal {
  /** @param make what calling it gives; without it, it cannot be called */
  constructor(
    readonly name: string,
    readonly make?: (args: readonly PickleValue[]) => PickleValue,
  ) {}
}

/** The parent of values that a reader's own globals make. */
export abstract class PickleObject {
  abstract readonly kind: string;

  /** Takes what the program says of it after it was made; most have nothing left to be told. */
  build(_state: PickleValue): boolean {
    return false;
  }
}

/** `argparse.Namespace` and its like: attributes by name. */
export class PickleRecord extends Map<PickleValue, PickleValue> {}

/** What the names and references of a pickle mean; `undefined` is for what is not understood. */
export interface PickleWorld {
  global(name: string): PickleGlobal | undefined;
  /** What the program calls a persistent id: a thing kept outside of it. */
  persistent(id: PickleValue): PickleValue | undefined;
}

/** What is wrong with a pickle, and where. Readers put the file's name before it. */
export class PickleProblem extends Error {}

/** A name that the reader does not know. Nothing of it was imported or called. */
export class UnknownGlobal extends PickleProblem {
  constructor(
    readonly global: string,
    readonly place: string,
  ) {
    super(`${place} holds ${plain(global)}`);
  }
}
