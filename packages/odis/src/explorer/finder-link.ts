import type { LibraryFile } from "../portable/index.js";
import type { Answer, FromWorker, Kind, Question, ToWorker } from "./finder-wire.js";

interface Waiting {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
}

/** The page's side of the worker that searches; it is started when first needed. */
export class FinderLink {
  private worker: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private asked = 0;

  /** @param progress told what is being loaded, and "" when it is there */
  constructor(
    private readonly library: LibraryFile,
    private readonly progress: (text: string) => void,
  ) {}

  /** @throws Error with the worker's sentence */
  ask<K extends Kind>(question: Question<K>): Promise<Answer<K>> {
    const id = this.asked;
    this.asked += 1;
    const worker = (this.worker ??= this.start());
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      worker.postMessage({ id, question: question as Question } satisfies ToWorker, []);
    });
  }

  private start(): Worker {
    const worker = new Worker(new URL("finder.js", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => this.hear(data));
    worker.addEventListener("error", ({ message }) => {
      const error = new Error(`the search ended: ${message || "its script could not be loaded"}`);
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
      this.worker = undefined;
      worker.terminate();
    });
    const root = new URL(".", document.baseURI).href;
    worker.postMessage({ library: this.library, root } satisfies ToWorker, []);
    return worker;
  }

  private hear(heard: FromWorker): void {
    if ("loading" in heard) return this.progress(heard.loading);
    const waiting = this.waiting.get(heard.id);
    this.waiting.delete(heard.id);
    if ("error" in heard) return waiting?.reject(new Error(heard.error));
    return waiting?.resolve(heard.answer as never);
  }
}
