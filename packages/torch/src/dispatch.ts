import { type Handle, native, type ResolvedOperator } from "./native.js";
import type { Tensor } from "./tensor.js";

/** What an operator can give back. */
export type OperatorResult =
  | Tensor
  | number
  | bigint
  | boolean
  | string
  | undefined
  | readonly OperatorResult[];

let wrap: (handle: Handle) => Tensor;

/** @internal tensor.ts says how a handle becomes a Tensor; this file cannot import it. */
export function setTensorMaker(make: (handle: Handle) => Tensor): void {
  wrap = make;
}

const used = new Set<string>();

/** Every operator that the typed surface relies on, as `namespace::name.overload`. */
export function operatorsInUse(): readonly string[] {
  return [...used].toSorted();
}

/** A raw result as the schema's type says: handles become tensors. */
function lift(type: string, value: unknown): OperatorResult {
  if (value === null || value === undefined) return undefined;
  if (type.startsWith("Tensor") && typeof value === "number") return wrap(value);
  if (type === "List[Tensor]") return (value as Handle[]).map((handle) => wrap(handle));
  return value as OperatorResult;
}

function run(resolved: ResolvedOperator, args: readonly unknown[]): OperatorResult {
  const raw = native().call(resolved.op, ...args);
  if (resolved.self >= 0) return args[resolved.self] as Tensor;
  const { returns } = resolved;
  if (returns.length === 1) return lift(returns[0] ?? "", raw);
  if (returns.length === 0) return undefined;
  return (raw as unknown[]).map((value, index) => lift(returns[index] ?? "", value));
}

/**
 * A typed handle on one operator. It is looked up in the linked library at the first call.
 *
 * @param name with overload, e.g. "aten::add.Tensor"
 */
export function operator<Args extends readonly unknown[], Result = Tensor>(
  name: string,
): (...args: Args) => Result {
  used.add(name);
  let resolved: ResolvedOperator | undefined;
  return (...args) => {
    resolved ??= native().resolve(name, true);
    return run(resolved, args) as Result;
  };
}

const byName = new Map<string, ResolvedOperator>();

/**
 * Calls any operator of the linked library by name. Arguments go in the order of its schema;
 * `undefined` takes the schema's default. Dtypes, devices and memory formats are strings.
 *
 * Operators that are LibTorch's own (`_name`, `native_…`, `…_backward`, `out=` forms) are refused:
 * they trust their arguments, and with wrong ones bring the process down.
 *
 * @example call("aten::gelu", x, "tanh")
 * @throws OperatorError that names the operator and its arguments' shapes and dtypes
 */
export function call(name: string, ...args: readonly unknown[]): OperatorResult {
  let resolved = byName.get(name);
  if (!resolved) {
    resolved = native().resolve(name, false);
    byName.set(name, resolved);
  }
  return run(resolved, args);
}

/** Names of all operators in the linked library. */
export function operatorNames(): readonly string[] {
  return native().operatorNames();
}
