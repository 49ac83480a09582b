import { expect } from "vitest";

/** The message of what a promise is rejected with, which must be of the class. */
export async function failure(
  promise: Promise<unknown>,
  kind: abstract new (...args: never[]) => Error,
): Promise<string> {
  const error: unknown = await promise.then(
    () => "nothing was thrown",
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(kind);
  return error instanceof Error ? error.message : String(error);
}
