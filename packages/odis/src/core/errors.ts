import { plain } from "./text.js";

/** What a process ends with; scripts may rely on these numbers (documented in the README). */
export const exitCodes = {
  ok: 0,
  internal: 1,
  usage: 2,
  data: 3,
  run: 4,
  engine: 5,
  stopped: 130,
  terminated: 143,
  hungUp: 129,
  unheard: 141,
} as const;

/**
 * A mistake that the user can mend. The message says what, where, got and wanted; the command
 * line prints it without a stack trace and ends with `exitCode`.
 */
export class OdisError extends Error {
  constructor(
    message: string,
    readonly exitCode: number = exitCodes.usage,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A setting that is unknown, out of range, or impossible together with another. */
export class ConfigError extends OdisError {}

/** A data set that cannot be used at all: missing folder, broken annotations. */
export class DataError extends OdisError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, exitCodes.data, options);
  }
}

/** One image that cannot be used. The loader skips, counts and names it; it ends nothing. */
export class BadImageError extends DataError {
  constructor(
    readonly key: string,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`image ${plain(key)}: ${reason}`, options);
  }
}

/** Of several processes another one tells what went wrong: this one ends without a word. */
export class ToldElsewhere extends OdisError {
  /** @param what name of the error there */
  constructor(
    readonly what: string,
    exitCode: number,
  ) {
    super(`another process says why: ${what}`, exitCode);
  }
}

/** A run folder or checkpoint that cannot be used as asked, or a place to write to that is taken. */
export class RunError extends OdisError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, exitCodes.run, options);
  }
}

/** A file of weights that cannot be read, or does not fit the network it is meant for. */
export class WeightsError extends RunError {
  constructor(
    /** the file or folder */
    readonly path: string,
    problem: string,
    options?: ErrorOptions,
  ) {
    super(`${path}: ${problem}`, options);
  }
}

/** A loss, or the gradient of one, that is not finite. Nothing of the step was applied. */
export class NonFiniteLossError extends RunError {
  constructor(
    readonly step: number,
    readonly terms: Readonly<Record<string, number>>,
    readonly keys: readonly string[],
  ) {
    const values = Object.entries(terms).map(([name, value]) => `${name} ${value}`);
    super(
      `step ${step}: the loss or its gradient is not finite (${values.join(", ")}). Nothing of this step was kept; ` +
        `the last good checkpoint stands. Try a lower optim.lr or a lower loss.teacherTemperature. ` +
        `Images of this batch: ${keys.slice(0, 8).join(", ")}${keys.length > 8 ? `, … (${keys.length})` : ""}`,
    );
  }
}
