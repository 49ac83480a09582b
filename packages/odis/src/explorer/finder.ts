/** The worker of a library of files: keeps vectors and network, and searches. */
import {
  boxMask,
  folderFiles,
  grownMask,
  type LibraryFile,
  Nearest,
  patchAt,
  patchValues,
  type PatchValues,
  rowOf,
} from "../portable/index.js";
import type { Answer, FromWorker, Kind, Question, Seen, ToWorker } from "./finder-wire.js";
import { loadBytes } from "./load-bytes.js";
import { LookingNetwork, sizeOf } from "./looking-network.js";

/** What a worker has of the world; TypeScript's own types are those of a page. */
const scope = globalThis as unknown as {
  addEventListener(kind: "message", hear: (event: MessageEvent<ToWorker>) => void): void;
  postMessage(message: FromWorker, transferred: readonly never[]): void;
};

class Finder {
  private vectors: Promise<Nearest> | undefined;
  private network: Promise<LookingNetwork> | undefined;

  constructor(
    private readonly library: LibraryFile,
    private readonly root: string,
  ) {}

  async answer(question: Question): Promise<Answer> {
    return (this.answers[question.kind] as (question: Question) => Promise<Answer>)(question);
  }

  private readonly answers: {
    readonly [K in Kind]: (question: Question<K>) => Promise<Answer<K>>;
  } = {
    object: async ({ object, top }) => {
      const vectors = await this.loadVectors();
      return { found: vectors.find(vectors.vector(object), top, object) };
    },
    photo: async ({ photo, box, point, top }) => {
      const network = await this.loadNetwork();
      const grown = async ([x, y]: readonly number[]) =>
        grownMask(await network.patches(photo), network.grid(photo), [x!, y!], photo.size);
      const mask = box ? boxOf(box, photo) : point && (await grown(point));
      const vector = await network.vector(photo, mask);
      const vectors = await this.loadVectors();
      return { found: vectors.find(vector, top), mask: point && mask };
    },
    patches: async ({ photo, point, others }) => {
      const network = await this.loadNetwork();
      const { width } = this.library.vectors;
      const start = patchAt(network.grid(photo), point[0]!, point[1]!);
      const vector = rowOf(await network.patches(photo), width, start);
      const maps: PatchValues[] = [];
      for (const [at, seen] of [photo, ...others].entries()) {
        if (others.length > 0) progress(`looking at photographs: ${at} of ${others.length + 1}`);
        maps.push(patchValues(await network.patches(seen), vector, network.grid(seen)));
      }
      progress("");
      return { maps };
    },
    attention: async ({ photo, visible, block }) =>
      (await this.loadNetwork()).attention(photo, visible, block),
    size: ({ file }) => sizeOf(file),
  };

  private loadVectors(): Promise<Nearest> {
    this.vectors ??= this.readVectors();
    this.vectors.catch(() => (this.vectors = undefined)); // another try may go better
    return this.vectors;
  }

  private async readVectors(): Promise<Nearest> {
    const { vectors, facts } = this.library;
    const nearest = new Nearest(vectors.width);
    const row = 4 * vectors.width;
    for (let first = 0; first < facts.objects; first += vectors.rows) {
      const address = new URL(folderFiles.vectors(first / vectors.rows), this.root);
      const bytes = row * Math.min(vectors.rows, facts.objects - first);
      const part = { address, bytes, before: row * first, all: vectors.bytes };
      const loaded = await loadBytes({ ...part, what: "the library’s vectors" }, progress);
      nearest.add(new Float32Array(loaded)); // every machine with a browser is little-endian
    }
    progress("");
    return nearest;
  }

  private loadNetwork(): Promise<LookingNetwork> {
    const { network, vectors } = this.library;
    if (!network) throw new Error("this library came without its network");
    this.network ??= LookingNetwork.load(network, vectors.width, this.root, progress);
    this.network.catch(() => (this.network = undefined));
    return this.network;
  }
}

/** @throws Error when no pixel of the photograph is in the box */
function boxOf([x, y, width, height]: readonly number[], { size }: Seen): Uint8Array {
  const mask = boxMask({ x: x!, y: y!, width: width!, height: height! }, size);
  if (mask.includes(1)) return mask;
  throw new Error(
    `box ${[x, y, width, height].join(",")}: is outside of the picture of ${size.width} × ${size.height} pixels`,
  );
}

function send(message: FromWorker): void {
  scope.postMessage(message, []);
}

const progress = (loading: string): void => send({ loading });

let finder: Finder | undefined;

scope.addEventListener("message", ({ data }) => {
  if ("library" in data) {
    finder = new Finder(data.library, data.root);
    return;
  }
  const { id, question } = data;
  finder!.answer(question).then(
    (answer) => send({ id, answer }),
    (error: unknown) => {
      progress("");
      send({ id, error: error instanceof Error ? error.message : String(error) });
    },
  );
});
