import { ConfigError } from "../../../core/index.js";
import { type Rle, rleFromMask } from "../../../objects/index.js";
import { suppress } from "../../boxes.js";
import type { Corners, Found, Picture } from "../../found.js";
import { cropMap, type FloatMap, resizeLinear } from "../../resize.js";
import { type Adapter, type AdapterSettings, fixedSize, takesPicture } from "../adapter.js";
import type { Feed, Network, Signature, Values } from "../network.js";
import { imageNet, longestEdge, planes, type Size, stretched } from "../prepare.js";

/** One question: points in the input's pixels. Label 1 is inside, 2 and 3 are corners of a box. */
interface Prompt {
  readonly points: readonly (readonly [x: number, y: number, label: number])[];
}

/** What a decoder answers to one question. */
interface Answer {
  /** mask logits at low resolution */
  readonly masks: readonly FloatMap[];
  readonly qualities: readonly number[];
}

/** One of the two ways in which SAM is cut into two files. */
interface Layout {
  readonly embeddings: readonly string[];
  readonly decoderInputs: readonly string[];
  readonly decoderOutputs: readonly string[];
  readonly takesBoxes: boolean;
  /** questions at a time */
  readonly batch: number;
  feeds(prompts: readonly Prompt[], decoder: Signature, picture: Size): Record<string, Feed>;
  answers(outputs: readonly Values[], prompts: number): Answer[];
}

/** Meta's exporter: one question a run. */
const meta: Layout = {
  embeddings: ["image_embeddings"],
  decoderInputs: ["point_coords", "point_labels", "mask_input", "has_mask_input", "orig_im_size"],
  decoderOutputs: ["low_res_masks", "iou_predictions"],
  takesBoxes: true,
  batch: 1,
  feeds: ([prompt], decoder, { width, height }) => {
    // Points without a box are followed by one that says there is none.
    const isBox = prompt!.points.some(([, , label]) => label === 2);
    const points = isBox ? prompt!.points : [...prompt!.points, [0, 0, -1] as const];
    const side = decoder.inputs.find(({ name }) => name === "mask_input")!.shape.at(-1);
    const low = typeof side === "number" && side > 0 ? side : 256;
    return {
      point_coords: float(
        [1, points.length, 2],
        points.flatMap(([x, y]) => [x, y]),
      ),
      point_labels: float(
        [1, points.length],
        points.map(([, , label]) => label),
      ),
      mask_input: float([1, 1, low, low], new Float32Array(low * low)),
      has_mask_input: float([1], [0]),
      orig_im_size: float([2], [height, width]),
    };
  },
  answers: ([masks, qualities]) => [answer(masks!.data, masks!.shape.slice(1), qualities!.data)],
};

/** Hugging Face's optimum: many questions a run, points only. */
const huggingFace: Layout = {
  embeddings: ["image_embeddings", "image_positional_embeddings"],
  decoderInputs: ["input_points", "input_labels"],
  decoderOutputs: ["pred_masks", "iou_scores"],
  takesBoxes: false,
  batch: 64,
  feeds: (prompts) => {
    const count = prompts[0]!.points.length;
    const points = prompts.flatMap((prompt) => prompt.points);
    const labels = BigInt64Array.from(points, ([, , label]) => BigInt(label));
    return {
      input_points: float(
        [1, prompts.length, count, 2],
        points.flatMap(([x, y]) => [x, y]),
      ),
      input_labels: { type: "int64", data: labels, shape: [1, prompts.length, count] },
    };
  },
  answers: ([masks, qualities], count) => {
    const size = masks!.data.length / count;
    const each = qualities!.data.length / count;
    return Array.from({ length: count }, (_, at) =>
      answer(
        masks!.data.subarray(at * size, (at + 1) * size),
        masks!.shape.slice(2),
        qualities!.data.subarray(at * each, (at + 1) * each),
      ),
    );
  },
};

const layouts = [meta, huggingFace] as const;

function float(shape: readonly number[], values: ArrayLike<number>): Feed {
  return { type: "float32", data: Float32Array.from(values), shape };
}

/** Masks for one object, for one of its parts, and for what it is part of. */
const SEVERAL = 3;

/** Where there are four masks the first is for several points, which nobody gives here. */
function answer(data: Float32Array, shape: readonly number[], qualities: Float32Array): Answer {
  const [count = 0, height = 0, width = 0] = shape;
  const skipped = count === SEVERAL + 1 ? 1 : 0;
  const plane = width * height;
  const masks = Array.from({ length: count - skipped }, (_, at) => {
    const from = (at + skipped) * plane;
    return { width, height, data: data.subarray(from, from + plane) };
  });
  return { masks, qualities: Array.from(qualities.subarray(skipped)) };
}

interface Parts<T> {
  readonly encoder: T;
  readonly decoder: T;
  readonly layout: Layout;
}

function partsOf<T>(items: readonly T[], signature: (item: T) => Signature): Parts<T> | undefined {
  const has = (item: T, side: "inputs" | "outputs", names: readonly string[]) =>
    names.every((name) => signature(item)[side].some((port) => port.name === name));
  if (items.length !== 2) return undefined;
  for (const layout of layouts) {
    const { embeddings, decoderInputs, decoderOutputs } = layout;
    const decoder = items.find(
      (item) =>
        has(item, "inputs", [...embeddings, ...decoderInputs]) &&
        has(item, "outputs", decoderOutputs),
    );
    const encoder = items.find((item) => item !== decoder && has(item, "outputs", embeddings));
    if (!decoder || !encoder) continue;
    const [input, ...more] = signature(encoder).inputs;
    if (input && more.length === 0 && takesPicture(input) && fixedSize(input))
      return { encoder, decoder, layout };
  }
  return undefined;
}

/**
 * Segment Anything: asked at the points of a grid for whatever is there (its automatic masks), or
 * for the object in each box that somebody else found.
 */
export const sam: Adapter = {
  name: "sam",
  about:
    "Segment Anything, encoder and decoder in two files: masks at a grid of points, or in boxes (--boxes)",
  defaults: { score: 0.88, stability: 0.95, overlap: 0.7, points: 32, most: 300 },
  recognise: (networks) => (partsOf(networks, (network) => network) ? "yes" : "no"),
  open: (networks, settings) => {
    const parts = partsOf(networks, ({ signature }) => signature);
    if (!parts)
      throw networks[0]!.unfit(
        "is no part of SAM; wanted two files, an encoder with the output image_embeddings and a decoder with " +
          "the inputs point_coords, point_labels … or input_points, input_labels",
      );
    return {
      classes: [],
      async find(picture, { key, prompts }) {
        const asked = new Session(parts, picture, key);
        await asked.encode();
        return prompts ? inBoxes(asked, prompts) : everywhere(asked, settings);
      },
    };
  },
};

/** One picture, encoded, to ask about. */
class Session {
  private embeddings: Record<string, Feed> = {};
  /** the picture inside of the input */
  private readonly inner: Size;
  private readonly size: Size;

  constructor(
    private readonly parts: Parts<Network>,
    readonly picture: Picture,
    private readonly key: string,
  ) {
    this.size = fixedSize(parts.encoder.signature.inputs[0]!)!;
    this.inner = longestEdge(picture, Math.max(this.size.width, this.size.height));
  }

  async encode(): Promise<void> {
    const { encoder, layout } = this.parts;
    const small = stretched(this.picture, this.inner, "bilinear");
    const feed = planes(small, imageNet, this.size);
    const input = encoder.signature.inputs[0]!.name;
    const values = await encoder.run({ [input]: feed }, layout.embeddings, this.key);
    this.embeddings = Object.fromEntries(
      layout.embeddings.map((name, at) => [name, { type: "float32", ...values[at]! } as const]),
    );
  }

  get takesBoxes(): boolean {
    return this.parts.layout.takesBoxes;
  }

  /** @yields answers in the order of the questions */
  async *ask(prompts: readonly Prompt[]): AsyncGenerator<Answer> {
    const { decoder, layout } = this.parts;
    for (let at = 0; at < prompts.length; at += layout.batch) {
      const some = prompts.slice(at, at + layout.batch).map(({ points }) => ({
        points: points.map(([x, y, label]) => [...this.toInput(x, y), label] as const),
      }));
      const feeds = { ...this.embeddings, ...layout.feeds(some, decoder.signature, this.picture) };
      const outputs = await decoder.run(feeds, layout.decoderOutputs, this.key);
      const answers = layout.answers(outputs, some.length);
      for (const { masks, qualities } of answers)
        if (masks.length === 0 || masks.length !== qualities.length)
          throw decoder.unfit(
            `gives masks [${outputs[0]!.shape.join(", ")}] with qualities [${outputs[1]!.shape.join(", ")}]`,
          );
      yield* answers;
    }
  }

  private toInput(x: number, y: number): readonly [number, number] {
    const { inner, picture } = this;
    return [x * (inner.width / picture.width), y * (inner.height / picture.height)];
  }

  /** Logits at the picture's size. */
  enlarge(low: FloatMap): Float32Array {
    const { size, inner, picture } = this;
    const full = resizeLinear(low, size.width, size.height);
    const own = cropMap(full, { x: 0, y: 0, ...inner });
    return resizeLinear(own, picture.width, picture.height).data;
  }
}

async function inBoxes(session: Session, boxes: readonly Corners[]): Promise<Found[]> {
  if (!session.takesBoxes)
    throw new ConfigError(
      "--boxes: this decoder takes points only; wanted one with point_coords and point_labels, as Meta's exporter writes it",
    );
  const { width, height } = session.picture;
  const found: Found[] = [];
  const prompts = boxes.map(([x0, y0, x1, y1]) => ({
    points: [
      [x0, y0, 2],
      [x1, y1, 3],
    ] as const,
  }));
  for await (const { masks, qualities } of session.ask(prompts)) {
    const best = qualities.indexOf(Math.max(...qualities));
    const inside = session.enlarge(masks[best]!).map((logit) => Number(logit > 0));
    const mask = rleFromMask(Uint8Array.from(inside), width, height);
    found.push({ score: qualities[best]!, label: -1, mask, box: boxes[found.length]! });
  }
  return found;
}

/** Logits that far above and below 0 should give nearly the same mask. */
const OFFSET = 1;

async function everywhere(
  session: Session,
  { points: side, score: least, stability, overlap, most }: AdapterSettings,
): Promise<Found[]> {
  const { picture } = session;
  const at = Array.from({ length: side }, (_, index) => (index + 0.5) / side);
  const prompts = at.flatMap((y) =>
    at.map((x) => ({ points: [[x * picture.width, y * picture.height, 1] as const] })),
  );
  const candidates: (Found & { readonly mask: Rle; readonly box: Corners })[] = [];
  for await (const { masks, qualities } of session.ask(prompts)) {
    for (const [index, low] of masks.entries()) {
      const score = qualities[index]!;
      if (!(score > least)) continue;
      const logits = session.enlarge(low);
      if (!(stable(logits) >= stability)) continue;
      candidates.push({ score, label: -1, ...drawn(logits, picture) });
    }
  }
  const kept = suppress(
    candidates.map(({ box }) => box),
    candidates.map(({ score }) => score),
    { overlap, most },
  );
  return kept.map((index) => candidates[index]!);
}

/** Overlap of the masks at two thresholds; nothing where both are empty. */
function stable(logits: Float32Array): number {
  let [inner, outer] = [0, 0];
  for (const logit of logits) {
    if (logit > OFFSET) inner += 1;
    if (logit > -OFFSET) outer += 1;
  }
  return inner / outer;
}

/** The mask, and the box of its first and last pixels, by which duplicates are told. */
function drawn(logits: Float32Array, { width, height }: Picture): { mask: Rle; box: Corners } {
  const pixels = new Uint8Array(width * height);
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (!(logits[at]! > 0)) continue;
      pixels[at] = 1;
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
  }
  const box: Corners = right < 0 ? [0, 0, 0, 0] : [left, top, right, bottom];
  return { mask: rleFromMask(pixels, width, height), box };
}
