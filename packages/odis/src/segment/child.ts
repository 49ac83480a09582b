// oxlint-disable-next-line import/no-unassigned-import -- has to watch before the others load
import "./end-with-parent.js";
import { EngineError } from "@odis/torch";
import { BadImageError, exitCodes, OdisError, reasonOf } from "../core/index.js";
import type { Found, Picture, Query } from "./found.js";
import { findMaker } from "./find-maker.js";
import type { MakerSpec, OpenMaker, Provenance } from "./maker.js";

/** What the process that looks for objects is asked. */
export type Request =
  | { readonly kind: "open"; readonly spec: MakerSpec }
  | { readonly kind: "find"; readonly picture: Picture; readonly query: Query };

/** What it answers, one answer a request. */
export type Response =
  | { readonly kind: "open"; readonly provenance: Provenance }
  | {
      readonly kind: "found";
      readonly found: readonly Found[];
      readonly classes: readonly string[];
    }
  | { readonly kind: "failed"; readonly problem: Problem };

/** An error on its way between processes. */
export interface Problem {
  readonly message: string;
  /** undefined for a mistake of ours */
  readonly exitCode: number | undefined;
  /** of a picture that cannot be used */
  readonly reason: string | undefined;
}

/**
 * The body of the process. Networks of strangers run in a process of their own: one that crashes,
 * needs all memory, or never ends takes nothing with it.
 */
async function serve(): Promise<void> {
  let maker: OpenMaker | undefined;
  const answer = async (request: Request): Promise<Response> => {
    if (request.kind === "open") {
      const { maker: found, place } = findMaker(request.spec);
      maker = await found.open(place, request.spec.options);
      return { kind: "open", provenance: maker.provenance };
    }
    if (!maker) throw new Error("internal: a maker was asked before it was opened");
    const { finder } = maker;
    const found = await finder.find(request.picture, request.query);
    return { kind: "found", found, classes: finder.classes };
  };
  process.on("message", (request: Request) => {
    void answer(request)
      .catch((error: unknown): Response => ({ kind: "failed", problem: problemOf(error) }))
      .then((response) => process.send?.(response));
  });
}

function problemOf(error: unknown): Problem {
  const exitCode =
    error instanceof EngineError
      ? exitCodes.engine
      : error instanceof OdisError
        ? error.exitCode
        : undefined;
  return {
    message: exitCode === undefined ? stackOf(error) : reasonOf(error),
    exitCode,
    reason: error instanceof BadImageError ? error.reason : undefined,
  };
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : reasonOf(error);

await serve();
