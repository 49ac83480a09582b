import { byScore, clipCorners, suppress } from "../../boxes.js";
import type { Corners, Picture } from "../../found.js";
import { resizeLinear } from "../../resize.js";
import {
  type Adapter,
  type AdapterSettings,
  fixedSize,
  namesFor,
  outputNames,
  type Recognised,
} from "../adapter.js";
import type { Feed, Network, Signature, Values } from "../network.js";
import { imageNet } from "../prepare.js";
import { preparations, prepared } from "../processor.js";
import { absoluteBoxes, indexOfMost, pictureFeeds, rowOf, sigmoid, softmax } from "../queries.js";

/** An object among the queries. */
interface Choice {
  readonly query: number;
  readonly label: number;
  readonly score: number;
  readonly box: Corners;
}

/** A kind of DETR: queries with logits [1, queries, classes] and boxes relative to the picture. */
interface Kind {
  readonly name: string;
  readonly about: string;
  readonly defaults: Adapter["defaults"];
  /** @param classes logits of a query, if the file tells */
  readonly recognise: (network: Signature, outputs: Outputs, classes: unknown) => Recognised;
  readonly prepare: (picture: Picture, network: Network, side: number | undefined) => Feed;
  readonly choose: (
    logits: Values,
    boxes: readonly Corners[],
    settings: AdapterSettings,
    picture: Picture,
  ) => readonly Choice[];
  /** how many labels there are, for so many logits */
  readonly labels: (logits: number) => number;
}

/** Names of the outputs: Hugging Face's, the published code's, RF-DETR's exporter's. */
const spellings = [
  { logits: "logits", boxes: "pred_boxes" },
  { logits: "pred_logits", boxes: "pred_boxes" },
  { logits: "labels", boxes: "dets" },
] as const;
type Outputs = (typeof spellings)[number];

function outputsOf(network: Signature): Outputs | undefined {
  const names = outputNames(network);
  if (names.includes("pred_masks")) return undefined;
  return spellings.find(({ logits, boxes }) => names.includes(logits) && names.includes(boxes));
}

/** MDETR's logits: 255 places in the text, and no object. */
const TEXT = 256;

/** Softmax over the classes and "no object"; every query for itself. */
export const detr = adapter({
  name: "detr",
  about: "DETR, with a class for no object: boxes",
  defaults: { score: 0.5, most: 100 },
  recognise: ({ neighbours: { kind } }, { boxes }, classes) => {
    if (kind !== undefined) return /^(detr|table-transformer|yolos)$/.test(kind) ? "yes" : "no";
    return boxes === "dets" || classes === TEXT ? "no" : "perhaps";
  },
  prepare: (picture, network, side) => prepared(picture, network, preparations.detr, side),
  choose: (logits, boxes, { score: least }) =>
    boxes
      .map((box, query): Choice => {
        const shares = softmax(rowOf(logits, query)).subarray(0, -1);
        const label = indexOfMost(shares);
        return { query, label, score: shares[label]!, box };
      })
      .filter(({ score }) => score > least),
  labels: (logits) => logits - 1,
});

/** A sigmoid for each class; the best pairs of query and class. */
export const rtDetr = adapter({
  name: "rt-detr",
  about: "RT-DETR, D-FINE, Deformable DETR, with a sigmoid for each class: boxes",
  defaults: { score: 0.5, most: 300 },
  recognise: ({ neighbours: { kind } }, { logits }) => {
    if (kind !== undefined)
      return /^(rt_detr(_v2)?|d_fine|deformable_detr|conditional_detr)$/.test(kind) ? "yes" : "no";
    return logits === "logits" ? "perhaps" : "no";
  },
  prepare: (picture, network, side) => prepared(picture, network, preparations.rtDetr, side),
  choose: bestPairs,
  labels: (logits) => logits,
});

/** The same in its own package's spelling; it resizes numbers, not bytes, without antialiasing. */
export const rfDetr = adapter({
  name: "rf-detr",
  about: "RF-DETR as its own exporter writes it: boxes",
  defaults: { score: 0.5, most: 300 },
  recognise: (_network, { boxes }) => (boxes === "dets" ? "yes" : "no"),
  prepare: (picture, { signature }, side = 560) =>
    unaliased(picture, fixedSize(signature.inputs[0]!) ?? { width: side, height: side }),
  choose: (logits, boxes, settings, picture) =>
    bestPairs(logits, boxes, settings).map((choice) => ({
      ...choice,
      box: clipCorners(choice.box, picture),
    })),
  labels: (logits) => logits,
});

/** How sure a query is that it sees what the phrase means: one minus "no object". */
export const mavl = adapter({
  name: "mavl",
  about: "MAVL and MDETR, one phrase a file: class-agnostic boxes",
  defaults: { score: 0.3, overlap: 0.5, most: 50 },
  recognise: (_network, { logits }, classes) =>
    logits === "pred_logits" && classes === TEXT ? "yes" : "no",
  prepare: (picture, network, side) => prepared(picture, network, preparations.mavl, side),
  choose: (logits, boxes, { score: least, ...settings }) => {
    const sure = boxes
      .map((box, query): Choice => {
        const score = 1 - softmax(rowOf(logits, query)).at(-1)!;
        return { query, label: -1, score, box };
      })
      .filter(({ score }) => score > least);
    const kept = suppress(
      sure.map(({ box }) => box),
      sure.map(({ score }) => score),
      settings,
    );
    return kept.map((index) => sure[index]!);
  },
  labels: () => 0,
});

function bestPairs(
  { data, shape }: Values,
  boxes: readonly Corners[],
  { score: least }: AdapterSettings,
): Choice[] {
  const classes = shape[2]!;
  return byScore(data)
    .slice(0, boxes.length)
    .map((pair): Choice => {
      const query = Math.floor(pair / classes);
      return { query, label: pair % classes, score: sigmoid(data[pair]!), box: boxes[query]! };
    })
    .filter(({ score }) => score > least);
}

function unaliased({ width, height, rgb }: Picture, size: { width: number; height: number }): Feed {
  const { mean, deviation } = imageNet;
  const plane = size.width * size.height;
  const data = new Float32Array(3 * plane);
  for (let c = 0; c < 3; c += 1) {
    const channel = Float32Array.from(
      { length: width * height },
      (_, at) => rgb[3 * at + c]! / 255,
    );
    const small = resizeLinear({ width, height, data: channel }, size.width, size.height).data;
    for (let at = 0; at < plane; at += 1)
      data[c * plane + at] = (small[at]! - mean[c]!) / deviation[c]!;
  }
  return { type: "float32", data, shape: [1, 3, size.height, size.width] };
}

function adapter({ name, about, defaults, recognise, prepare, choose, labels }: Kind): Adapter {
  return {
    name,
    about,
    defaults,
    recognise: ([network, ...others]) => {
      const outputs = network && others.length === 0 ? outputsOf(network) : undefined;
      if (!network || !outputs) return "no";
      const logits = network.outputs.find((output) => output.name === outputs.logits)!;
      return recognise(network, outputs, logits.shape[2]);
    },
    open: ([network, ...others], settings) => {
      const outputs = outputsOf(network!.signature);
      if (!outputs || others.length > 0)
        throw network!.unfit(
          `is no ${name} network: wanted one file with the outputs logits and pred_boxes; it has ` +
            outputNames(network!.signature).join(", "),
        );
      const classes: string[] = [];
      return {
        classes,
        async find(picture, { key }) {
          const feeds = pictureFeeds(network!, prepare(picture, network!, settings.size));
          const [logits, relative] = await network!.run(
            feeds,
            [outputs.logits, outputs.boxes],
            key,
          );
          network!.expect(logits!, outputs.logits, [1, -1, -1]);
          network!.expect(relative!, outputs.boxes, [1, logits!.shape[1]!, 4]);
          const known = network!.signature.neighbours.classes;
          classes.push(...namesFor(known, labels(logits!.shape[2]!)).slice(classes.length));
          return choose(logits!, absoluteBoxes(relative!, picture), settings, picture)
            .slice(0, settings.most)
            .map(({ score, label, box }) => ({ score, label, box }));
        },
      };
    },
  };
}
