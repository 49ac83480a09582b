/** The worker of a library of files: keeps vectors and network, and searches. */
import {
  boxMask,
  folderFiles,
  grownPatches,
  type LibraryFile,
  likenesses,
  Nearest,
  patchAt,
  patchesMask,
  type PatchValues,
  rowOf,
} from "../portable/index.js";
import type { Answer, FromWorker, Kind, Question, Seen, ToWorker } from "./finder-wire.js";
import { loadBytes } from "./load-bytes.js";
import { decoded, LookingNetwork } from "./looking-network.js";

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
      const mask = box ? boxOf(box, photo) : point && (await this.grown(network, photo, point));
      const vector = await network.vector(photo, mask);
      const vectors = await this.loadVectors();
      return { found: vectors.find(vector, top), mask: point && mask };
    },
    patches: async ({ photo, point, others }) => {
      const network = await this.loadNetwork();
      const { width } = this.library.vectors;
      const grid = network.grid(photo);
      const start = patchAt(grid, point[0]!, point[1]!);
      const vector = rowOf(await network.patches(photo), width, start);
      const maps: PatchValues[] = [];
      for (const [at, seen] of [photo, ...others].entries()) {
        if (others.length > 0) tell(`looking at photographs: ${at} of ${others.length + 1}`);
        const { side, box } = network.grid(seen);
        const values = Array.from(likenesses(await network.patches(seen), vector), (value) =>
          Math.round(100 * value),
        );
        maps.push({ side, region: [box.x, box.y, box.width, box.height], values });
      }
      tell("");
      return { maps };
    },
    size: async ({ file }) => {
      const { width, height } = await decoded(file, file.name);
      return { width, height };
    },
  };

  private async grown(network: LookingNetwork, photo: Seen, point: readonly number[]) {
    const grid = network.grid(photo);
    const features = await network.patches(photo);
    const start = patchAt(grid, point[0]!, point[1]!);
    const inside = grownPatches(features, this.library.vectors.width, grid.side, start);
    return patchesMask(inside, grid, photo.size);
  }

  private loadVectors(): Promise<Nearest> {
    this.vectors ??= this.readVectors();
    this.vectors.catch(() => (this.vectors = undefined)); // another try may go better
    return this.vectors;
  }

  private async readVectors(): Promise<Nearest> {
    const { vectors, facts } = this.library;
    const nearest = new Nearest(vectors.width);
    for (let part = 0; part * vectors.rows < facts.objects; part += 1) {
      const bytes = await loadBytes(
        new URL(folderFiles.vectors(part), this.root),
        "the library’s vectors",
        { before: part * vectors.rows * vectors.width * 4, all: vectors.bytes },
        tell,
      );
      nearest.add(new Float32Array(bytes)); // every machine with a browser is little-endian
    }
    tell("");
    return nearest;
  }

  private loadNetwork(): Promise<LookingNetwork> {
    const { network, vectors } = this.library;
    if (!network) throw new Error("this library came without its network");
    this.network ??= LookingNetwork.load(network, vectors.width, this.root, tell);
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

const tell = (loading: string): void => send({ loading });

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
      tell("");
      send({ id, error: error instanceof Error ? error.message : String(error) });
    },
  );
});
