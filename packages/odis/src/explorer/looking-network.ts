import {
  folderFiles,
  frameBox,
  networkInput,
  type NetworkFacts,
  type PatchGrid,
  patchesOf,
  perMille,
  type AttentionMaps,
  unpackedBits,
} from "../portable/index.js";
import { fetched, folderServer } from "./fetched.js";
import { loadBytes } from "./load-bytes.js";
import type { Seen } from "./finder-wire.js";

/** What is used of onnxruntime-web, which lies beside the page. */
interface Runtime {
  readonly env: { wasm: { numThreads: number; wasmBinary?: ArrayBuffer }; logLevel: string };
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<RuntimeSession>;
  };
  readonly Tensor: new (
    type: "float32" | "bool",
    data: Float32Array | Uint8Array,
    shape: readonly number[],
  ) => object;
}

interface RuntimeSession {
  run(
    inputs: Readonly<Record<string, object>>,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, { readonly data: Float32Array }>>>;
}

/** Numbers of patch features that are kept. */
const KEPT = 2 ** 24;

/** The library's network in the browser: looks at photographs as odis does. */
export class LookingNetwork {
  private readonly kept = new Map<string, Float32Array>();
  private last: { readonly name: string; readonly input: Float32Array } | undefined;
  /** where it looked last: another block of it is asked for next */
  private looked: { readonly about: string; readonly shares: readonly Float32Array[] } | undefined;
  /** the runtime does one thing at a time */
  private busy: Promise<unknown> = Promise.resolve();

  private constructor(
    private readonly runtime: Runtime,
    private readonly session: RuntimeSession,
    private readonly facts: NetworkFacts,
    private readonly width: number,
  ) {}

  /** @param root of the library's folder */
  static async load(
    facts: NetworkFacts,
    width: number,
    root: string,
    progress: (text: string) => void,
  ): Promise<LookingNetwork> {
    const at = (path: string): URL => new URL(path, root);
    const runtime = (await import(at(folderFiles.runtime.script).href)) as Runtime;
    runtime.env.logLevel = "error";
    runtime.env.wasm.numThreads = 1; // more want headers that a plain web server does not send
    const wasm = { address: at(folderFiles.runtime.wasm), bytes: facts.runtime };
    runtime.env.wasm.wasmBinary = await loadBytes({ ...wasm, what: "the runtime" }, progress);
    const file = { address: at(folderFiles.network), bytes: facts.bytes };
    const model = await loadBytes({ ...file, what: "the network" }, progress);
    progress("starting the network");
    const session = await runtime.InferenceSession.create(new Uint8Array(model), {
      executionProviders: ["wasm"],
    });
    progress("");
    return new LookingNetwork(runtime, session, facts, width);
  }

  grid({ size }: Pick<Seen, "size">): PatchGrid {
    return { side: this.facts.size / this.facts.patch, box: frameBox(size, this.facts.frame) };
  }

  /**
   * The vector of a thing in a photograph, or of all of it: [width].
   *
   * @param mask [height × width], 0 or 1
   */
  async vector(photo: Seen, mask: Uint8Array | undefined): Promise<Float32Array> {
    const visible = mask && patchesOf(mask, photo.size, this.facts);
    if (mask && !visible) throw new Error("nothing of it is inside the part that the network sees");
    return this.run(photo, this.facts.output, visible);
  }

  /** The features of a photograph's patches: [N, width]. */
  async patches(photo: Seen): Promise<Float32Array> {
    const known = this.kept.get(photo.name);
    if (known) return known;
    const features = await this.run(photo, "patches");
    const most = Math.max(1, Math.floor(KEPT / features.length));
    while (this.kept.size >= most) this.kept.delete(this.kept.keys().next().value!);
    this.kept.set(photo.name, features);
    return features;
  }

  /**
   * Where [OBJ] looks in a photograph, with an object's patches and without.
   *
   * @param visible the object's patches, as `packedBits` writes them
   */
  async attention(photo: Seen, visible: string, block?: number): Promise<AttentionMaps> {
    const { heads, blocks, token } = this.facts.attention!;
    const grid = this.grid(photo);
    const { x, y, width, height } = grid.box;
    const count = grid.side ** 2;
    const about = `${photo.name} ${visible}`;
    if (this.looked?.about !== about) {
      const seen = unpackedBits(visible, count);
      const masked = await this.run(photo, "attention", seen);
      this.looked = { about, shares: [masked, await this.run(photo, "attention")] };
    }
    const chosen = block ?? blocks - 1;
    const [masked, open] = this.looked.shares.map((shares) =>
      Array.from({ length: heads }, (_, head) => {
        const begin = (head * blocks + chosen) * count;
        return perMille(shares.subarray(begin, begin + count));
      }),
    );
    const region = [x, y, width, height] as const;
    return { token, blocks, block: chosen, side: grid.side, region, masked: masked!, open: open! };
  }

  private run(photo: Seen, output: string, visible?: Uint8Array): Promise<Float32Array> {
    const run = this.busy.then(async () => {
      const { size, patch, several } = this.facts;
      const { Tensor } = this.runtime;
      const seen = visible ?? new Uint8Array((size / patch) ** 2).fill(1);
      const image = new Tensor("float32", await this.input(photo), [1, 3, size, size]);
      const shape = several ? [1, 1, seen.length] : [1, seen.length];
      const inputs = { image, visible: new Tensor("bool", seen, shape) };
      const { [output]: found } = await this.session.run(inputs, [output]);
      if (output === this.facts.output && found!.data.length !== this.width)
        throw new Error(`the network gives ${found!.data.length} numbers, not ${this.width}`);
      return Float32Array.from(found!.data);
    });
    this.busy = run.catch(() => undefined);
    return run;
  }

  private async input({ name, source }: Seen): Promise<Float32Array> {
    if (this.last?.name === name) return this.last.input;
    const blob =
      typeof source === "string"
        ? await fetched(source, folderServer, (response) => response.blob())
        : source;
    const input = networkInput(await decoded(blob, name), this.facts);
    this.last = { name, input };
    return input;
  }
}

/**
 * A picture file's pixels as odis reads them: turned as its EXIF says, the file's own colours, white
 * where it is transparent.
 *
 * @throws Error when the browser cannot read it
 */
async function decoded(file: Blob, name: string) {
  const bitmap = await bitmapOf(file, name);
  const { width, height } = bitmap;
  const drawing = new OffscreenCanvas(width, height).getContext("2d", {
    willReadFrequently: true,
  })!;
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, width, height);
  drawing.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = drawing.getImageData(0, 0, width, height);
  const rgb = new Uint8Array(3 * width * height);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + 1]!;
    rgb[to + 2] = data[from + 2]!;
  }
  return { width, height, rgb };
}

/** Pixels of a picture file. @throws Error when the browser cannot read it */
export async function sizeOf(file: File): Promise<{ width: number; height: number }> {
  const bitmap = await bitmapOf(file, file.name);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
}

async function bitmapOf(file: Blob, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
    });
  } catch {
    throw new Error(
      `${name}: this browser cannot read it as a picture (${file.type || "unknown kind"}); JPEG, PNG and WebP are sure`,
    );
  }
}
