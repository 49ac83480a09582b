import { ScopeError } from "./errors.js";
import { type Handle, type Handled, handleKey, native } from "./native.js";

/** Tensors that no scope owns are freed when the garbage collector finds their object gone. */
const collected = new FinalizationRegistry<Handle>((handle) => native().free(handle));

let current: Scope | undefined;

/**
 * Owns the tensors that are made while it is the innermost open scope, and frees them when it is
 * closed. Scopes nest like blocks: open one with `using scope = tensorScope()` in a synchronous
 * function.
 */
export class Scope implements Disposable {
  private readonly outer = current;
  private handles: Handle[] = [];
  private readonly kept = new Map<Handle, Handled>();
  private state: "open" | "late" | "closed" = "open";

  /** @internal use tensorScope() */
  constructor() {
    // oxlint-disable-next-line no-this-alias -- the innermost scope is module state by design
    current = this;
  }

  /** Lets a tensor outlive this scope; the scope around it owns it then. */
  keep<T extends Handled>(tensor: T): T {
    this.kept.set(tensor[handleKey], tensor);
    return tensor;
  }

  /**
   * Lets a tensor that was made in a scope inside this one outlive all of those: this scope owns
   * it then.
   */
  claim<T extends Handled>(tensor: T): T {
    for (let scope = current; scope && scope !== this; scope = scope.outer) scope.keep(tensor);
    return tensor;
  }

  /** @internal */
  own(handle: Handle): void {
    this.handles.push(handle);
  }

  /**
   * Frees what was made in this scope and not kept.
   *
   * @throws ScopeError when a scope that was opened later is still open
   */
  [Symbol.dispose](): void {
    if (this.state !== "open") return;
    if (current !== this) {
      this.state = "late";
      throw new ScopeError(
        "a tensor scope was closed while a scope opened after it is still open; scopes must close in " +
          "reverse order. Most often an async function held one across an await: open scopes in " +
          "synchronous functions only, and free() single tensors elsewhere.",
      );
    }
    this.close();
    // Scopes that were to be closed earlier, but had to wait for this one.
    // oxlint-disable-next-line no-unmodified-loop-condition -- close() moves current
    while (current?.state === "late") current.close();
  }

  private close(): void {
    current = this.outer;
    this.state = "closed";
    const doomed = new Float64Array(this.handles.length);
    let count = 0;
    for (const handle of this.handles) {
      const survivor = this.kept.size > 0 ? this.kept.get(handle) : undefined;
      if (survivor) adopt(survivor);
      else doomed[count++] = handle;
    }
    this.handles = [];
    this.kept.clear();
    if (count > 0) native().freeAll(doomed, count);
  }
}

/** @internal Gives a new tensor its owner: the innermost scope, or the garbage collector. */
export function adopt(tensor: Handled): void {
  const handle = tensor[handleKey];
  if (current) {
    current.own(handle);
  } else {
    collected.register(tensor, handle);
    native().track(handle);
  }
}

/** Opens a scope: `using scope = tensorScope();` frees every tensor made below it at its end. */
export function tensorScope(): Scope {
  return new Scope();
}

/** Keeps every tensor that can be reached from a result: itself, or in arrays, plain objects, Maps. */
function keepAll(scope: Scope, value: unknown, seen: Set<object>): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
  if (handleKey in value) {
    scope.keep(value as Handled);
    return;
  }
  if (seen.has(value)) return;
  seen.add(value);
  if (Array.isArray(value) || value instanceof Set) {
    for (const item of value) keepAll(scope, item, seen);
  } else if (value instanceof Map) {
    for (const item of value.values()) keepAll(scope, item, seen);
  } else {
    for (const item of Object.values(value)) keepAll(scope, item, seen);
  }
}

/**
 * Runs `fn` in a scope. Tensors in what it returns live on in the scope around it; all others that
 * were made inside are freed at once.
 *
 * @throws ScopeError when `fn` is asynchronous
 */
export function tidy<T>(fn: () => T): T {
  const scope = new Scope();
  try {
    const result = fn();
    refusePromise(result, "tidy");
    if (typeof result === "object" && result !== null) {
      if (handleKey in result) scope.keep(result as unknown as Handled);
      else keepAll(scope, result, new Set());
    }
    return result;
  } finally {
    scope[Symbol.dispose]();
  }
}

/** @internal */
export function refusePromise(result: unknown, where: string): void {
  if (result instanceof Promise) {
    result.catch(() => undefined); // its own failure must not end the process on top of this
    throw new ScopeError(
      `${where}: got an asynchronous function, wanted a synchronous one; other code would run inside ` +
        `its scope while it waits.`,
    );
  }
}

/** How many tensors are alive in this thread. */
export function liveTensors(): number {
  return native().liveTensors();
}

/** Bytes behind the live tensors of this thread; storage that views share counts once. */
export function liveBytes(): number {
  return native().liveBytes();
}
