import { type Handle, type Handled, handleKey, native } from "./native.js";
import { fromBuffer } from "./creation.js";
import { fromHandle } from "./tensor.js";

const collected = new FinalizationRegistry<Handle>((handle) => native().freeGenerator(handle));

/** A stream of random numbers of its own, for operators that take one (`normal_`, `randperm`, …). */
export class Generator implements Handled {
  /** @internal */
  readonly [handleKey]: Handle;

  /** @param seed whole, 0 to 2^53 - 1; the same seed gives the same numbers */
  constructor(seed: number, device = "cpu") {
    this[handleKey] = native().newGenerator(seed, device);
    collected.register(this, this[handleKey]);
  }

  /** Where the stream stands, to go on from there later with `setState`. */
  getState(): Uint8Array {
    using state = fromHandle(native().generatorState(this[handleKey]));
    return state.toArray() as Uint8Array;
  }

  /** @throws OperatorError when the bytes are not a state of this kind of generator */
  setState(state: Uint8Array): void {
    using bytes = fromBuffer(state);
    native().setGeneratorState(this[handleKey], bytes);
  }
}

/** Seeds the generator that operators use when they are given none. */
export function manualSeed(seed: number): void {
  native().manualSeed(seed);
}
