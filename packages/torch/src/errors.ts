/** Something about LibTorch or the bridge to it; the parent of all errors thrown here. */
export class EngineError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An operator refused its arguments; the message names it, their shapes and their dtypes. */
export class OperatorError extends EngineError {}

/** A tensor has another rank or number of elements than the code at hand counts on. */
export class ShapeError extends EngineError {}

/** A tensor was used after its scope had ended or `free()` had been called on it. */
export class UseAfterFreeError extends EngineError {}

/** Scopes were closed in another order than they were opened, or hold asynchronous work. */
export class ScopeError extends EngineError {}
