import { type ChildProcess, fork } from "node:child_process";
import { BadImageError, OdisError, plain } from "../core/index.js";
import type { Problem, Request, Response } from "./child.js";
import type { Found, Picture, Query } from "./found.js";
import { findMaker } from "./find-maker.js";
import type { MakerSpec, Provenance } from "./maker.js";

export interface RemoteOptions {
  /** seconds that one picture may take */
  readonly patience: number;
  /** the script of the process; tests give the built one */
  readonly child?: URL | undefined;
}

/** Seconds for loading a maker: large networks are optimised then. */
const OPENING = 600;

/**
 * Milliseconds until it is told that a process was ended by a signal. Before it has loaded its first module one
 * that asks it to end does; who sent it may be about to ask this process, too, which has to hear of it first.
 */
const HEARD = 500;

/** Bytes of what a process complained that are kept. */
const MOST_SAID = 2000;

/** What looks for objects in one picture at a time. */
export interface Looker {
  readonly provenance: Provenance;
  /** @throws BadImageError for a picture that it does not get on with */
  find(picture: Picture, query: Query): Promise<Looked>;
  close(): Promise<void>;
}

export interface Looked {
  readonly found: readonly Found[];
  /** names of the labels that are known by now */
  readonly classes: readonly string[];
}

/** @throws OdisError what the maker says is wrong */
export async function openLooker(spec: MakerSpec, options: RemoteOptions): Promise<Looker> {
  const { maker, place } = findMaker(spec);
  if (!maker.isOwn) return RemoteMaker.open(spec, options);
  const opened = await maker.open(place, spec.options);
  const { finder, provenance } = opened;
  return {
    provenance,
    close: () => opened.close(),
    find: async (picture, query) => ({
      found: await finder.find(picture, query),
      classes: query.annotated?.classes ?? finder.classes,
    }),
  };
}

/** A maker in a process of its own. */
class RemoteMaker implements Looker {
  private process: ChildProcess | undefined;
  private said = "";
  private provenanceKnown: Provenance | undefined;

  private constructor(
    private readonly spec: MakerSpec,
    private readonly options: RemoteOptions,
  ) {}

  /** @throws OdisError what the maker says is wrong */
  static async open(spec: MakerSpec, options: RemoteOptions): Promise<RemoteMaker> {
    const remote = new RemoteMaker(spec, options);
    await remote.start();
    return remote;
  }

  get provenance(): Provenance {
    return this.provenanceKnown!;
  }

  /**
   * @throws BadImageError for a picture on which the maker fails, crashes, or takes too long; the
   *   next one finds a new process
   */
  async find({ width, height, rgb }: Picture, { key, prompts }: Query): Promise<Looked> {
    if (!this.process) await this.start();
    const query = { key, ...(prompts ? { prompts } : {}) };
    const request = { kind: "find", picture: { width, height, rgb }, query } as const;
    const response = await this.ask(request, this.options.patience).catch((error: unknown) => {
      if (!(error instanceof Ended)) throw error;
      throw new BadImageError(query.key, `${this.spec.text} ${error.message}`);
    });
    if (response.kind === "failed") throw errorFrom(response.problem, query.key);
    if (response.kind !== "found") throw new Error(`internal: got ${response.kind}`);
    return response;
  }

  async close(): Promise<void> {
    const { process } = this;
    this.process = undefined;
    if (!process || process.exitCode !== null || process.signalCode !== null) return;
    const gone = new Promise((resolve) => process.once("exit", resolve));
    process.kill("SIGKILL");
    await gone;
  }

  private async start(): Promise<void> {
    this.said = "";
    const script = this.options.child ?? new URL("./child.js", import.meta.url);
    this.process = fork(script, [String(process.pid)], {
      // Ctrl-C, `timeout` and terminals tell the whole group: this process lets the picture come to its end.
      detached: true,
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      execArgv: [],
    });
    this.process.stderr?.on("data", (chunk: Buffer) => {
      this.said = (this.said + chunk.toString()).slice(-MOST_SAID);
    });
    const response = await this.ask({ kind: "open", spec: this.spec }, OPENING).catch(
      (error: unknown) => {
        if (!(error instanceof Ended)) throw error;
        throw new OdisError(`--with ${plain(this.spec.text)} ${error.message}`, 4);
      },
    );
    if (response.kind === "failed") {
      await this.close();
      throw errorFrom(response.problem, "");
    }
    if (response.kind !== "open") throw new Error(`internal: got ${response.kind}`);
    this.provenanceKnown = response.provenance;
  }

  /** @throws Ended when the process ends, or has to be ended, before it answers */
  private ask(request: Request, seconds: number): Promise<Response> {
    const child = this.process!;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        child.off("message", onMessage);
        child.off("exit", onExit);
        child.off("error", onError);
        settle();
      };
      const onMessage = (message: unknown) => finish(() => resolve(message as Response));
      const onExit = (code: number | null, signal: string | null) => {
        this.process = undefined;
        const ended = new Ended(endOf(code, signal, this.said));
        finish(() => setTimeout(reject, signal === null ? 0 : HEARD, ended));
      };
      const onError = (error: Error) => {
        this.process = undefined;
        finish(() => reject(new Ended(`cannot be started as a process (${error.message})`)));
      };
      const timer = setTimeout(() => {
        this.process = undefined;
        child.kill("SIGKILL");
        finish(() => reject(new Ended(`did not answer within ${seconds} seconds and was ended`)));
      }, seconds * 1000);
      child.on("message", onMessage);
      child.on("exit", onExit);
      child.on("error", onError);
      child.send(request, (error) => {
        if (!error) return; // else it has ended, or must: how it ended is told by its end
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
        else onExit(child.exitCode, child.signalCode);
      });
    });
  }
}

/** The process is gone; the message goes on where a sentence has named the maker. */
class Ended extends Error {}

function endOf(code: number | null, signal: string | null, said: string): string {
  const how = signal === null ? `with code ${code}` : `by ${signal}`;
  const memory = signal === "SIGKILL" ? " (out of memory?)" : "";
  const last = said.trim().split("\n").at(-1) ?? "";
  return `ended ${how}${memory}${last === "" ? "" : `: ${plain(last)}`}`;
}

function errorFrom({ message, exitCode, reason }: Problem, key: string): Error {
  if (reason !== undefined) return new BadImageError(key, reason);
  return exitCode === undefined ? new Error(message) : new OdisError(message, exitCode);
}
