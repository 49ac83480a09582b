import { tidy } from "../scope.js";
import { full } from "../creation.js";
import { call } from "../dispatch.js";
import { Tensor } from "../tensor.js";

/** A named weight: the name is the path of fields that leads to it, in a checkpoint's spelling. */
export type NamedParameter = readonly [name: string, parameter: Tensor];

const isRecordable = (value: unknown): value is Module | Tensor | readonly unknown[] =>
  value instanceof Module || value instanceof Tensor || Array.isArray(value);

/** `patchEmbed` -> `patch_embed`: fields follow TypeScript's habit, checkpoints follow timm's. */
const checkpointSpelling = (field: string): string =>
  field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function* walk(value: unknown, path: string): Generator<NamedParameter> {
  if (value instanceof Tensor) yield [path, value];
  else if (Array.isArray(value))
    for (const [index, item] of value.entries()) yield* walk(item, `${path}.${index}`);
  else if (value instanceof Module) {
    for (const [field, child] of Object.entries(value)) {
      if (!isRecordable(child)) continue;
      const name = checkpointSpelling(field);
      yield* walk(child, path ? `${path}.${name}` : name);
    }
  }
}

/**
 * A part of a network. Every field that holds a `Tensor`, a `Module` or an array of them is found
 * by `parameters()`; the path of fields is the weight's name in checkpoints (`blocks.0.attn.qkv.weight`).
 *
 * `forward` of every subclass is a scope of its own: what it computed on the way is freed when it
 * returns (autograd keeps what backward needs), only its result lives on. Model code therefore
 * never speaks of memory.
 */
export abstract class Module {
  /** @internal the scope is wrapped here, once for all subclasses */
  constructor() {
    const forward = this.forward.bind(this) as (...args: unknown[]) => unknown;
    Object.defineProperty(this, "forward", {
      value: (...args: unknown[]) => tidy(() => forward(...args)),
      enumerable: false, // not a field that a parameter could hide in
    });
  }

  abstract forward(...args: never[]): unknown;

  /** All weights below this module with their checkpoint names, in order of declaration. */
  namedParameters(): NamedParameter[] {
    return [...walk(this, "")];
  }

  parameters(): Tensor[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Whether autograd shall record for these weights (a teacher's are switched off). */
  requiresGrad_(on: boolean): this {
    for (const parameter of this.parameters()) parameter.requiresGrad_(on);
    return this;
  }

  /** Moves every weight to a device, keeping the identity of the tensors that optimisers hold. */
  to(device: string): this {
    for (const parameter of this.parameters()) {
      tidy(() => {
        call("aten::set_data", parameter, parameter.detach().to({ device }));
      });
    }
    return this;
  }

  free(): void {
    for (const parameter of this.parameters()) parameter.free();
  }
}

/** A weight before its initialisation: NaN, so that a forgotten initialiser shows at step one. */
export const uninitialised = (shape: readonly number[]): Tensor => full(shape, Number.NaN);
