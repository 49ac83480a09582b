import { clipCorners, cornersOf, suppress } from "../../boxes.js";
import { type Corners, type Found, maskAbove, type Picture, windowOf } from "../../found.js";
import { cropMap, type FloatMap, resizeLinear } from "../../resize.js";
import {
  type Adapter,
  fixedSize,
  isKnown,
  namesFor,
  pythonNames,
  single,
  takesPicture,
} from "../adapter.js";
import type { ModelFacts } from "../model-file.js";
import type { Network, Port, Signature, Values } from "../network.js";
import { pasted, planes, pythonRound, shrunkInto, type Size, unit } from "../prepare.js";

/** Cells of the coarsest grid are this many pixels wide: free sizes are multiples of it. */
const STRIDE = 32;
/** The grey of a letterbox. */
const GREY = 114;

/**
 * Ultralytics' networks since YOLOv8. Output 0 is [1, 4 + classes + coefficients, boxes], or
 * [1, boxes, 6 + coefficients] where the network suppresses by itself; output 1, where there is
 * one, holds the mask prototypes [1, coefficients, height, width].
 */
export const yolo: Adapter = {
  name: "yolo",
  about: "Ultralytics YOLOv8, YOLO11 and later: boxes, or masks with -seg",
  defaults: { score: 0.25, overlap: 0.7, most: 300 },
  recognise: ([network, ...others]) => {
    if (!network || others.length > 0 || !hasYoloPorts(network)) return "no";
    const [, rows, columns] = network.outputs[0]!.shape;
    if (isEndToEnd(network.outputs)) return "yes";
    if (isKnown(rows) && isKnown(columns)) return rows < columns ? "yes" : "no";
    const isOurs = network.facts.metadata.get("author") === "Ultralytics";
    return isOurs || network.outputs.length === 2 ? "yes" : "perhaps";
  },
  open: (networks, settings) => {
    const { network, input } = single(networks);
    const { outputs, facts } = network.signature;
    if (!hasYoloPorts(network.signature))
      throw network.unfit("has not the inputs and outputs of YOLO's networks");
    const names = outputs.map(({ name }) => name);
    const isDecided = isEndToEnd(outputs);
    const side = settings.size ?? exportedSize(facts);
    const known = pythonNames(facts.metadata.get("names"));
    const classes: string[] = [...known];
    return {
      classes,
      async find(picture, { key }) {
        const box = letterbox(picture, input, side);
        const [rows, prototypes] = await network.run({ [input.name]: box.feed }, names, key);
        const coefficients = prototypes ? prototypes.shape[1]! : 0;
        if (prototypes) network.expect(prototypes, names[1]!, [1, coefficients, -1, -1]);
        const found = isDecided
          ? decided(rows!, coefficients, settings.score)
          : candidates(network, rows!, names[0]!, coefficients, settings.score);
        for (const name of namesFor(known, found.classes).slice(classes.length)) classes.push(name);
        const kept = isDecided
          ? found.boxes.map((_, index) => index).slice(0, settings.most)
          : suppress(found.boxes, found.scores, { ...settings, groups: found.labels });
        return kept.flatMap((index): Found[] => {
          const corners = clipCorners(restored(found.boxes[index]!, box, picture), picture);
          const fact = { score: found.scores[index]!, label: found.labels[index]!, box: corners };
          if (!prototypes) return [fact];
          const mask = drawMask(prototypes, found.coefficients[index]!, corners, picture);
          return mask.counts.length < 2 ? [] : [{ ...fact, mask }];
        });
      },
    };
  },
};

function hasYoloPorts({ inputs, outputs }: Signature): boolean {
  const [boxes, prototypes] = outputs;
  return (
    inputs.length === 1 &&
    takesPicture(inputs[0]!) &&
    outputs.length <= 2 &&
    boxes?.shape.length === 3 &&
    boxes.type === "float32" &&
    (prototypes === undefined || prototypes.shape.length === 4)
  );
}

/** More boxes than this are no list that was suppressed already, but one of all places. */
const MOST_DECIDED = 1000;

/** [1, 300, 6 + coefficients]: corners, score and label of boxes that were suppressed already. */
function isEndToEnd([boxes, prototypes]: readonly Port[]): boolean {
  const [, count, numbers] = boxes!.shape;
  const coefficients = prototypes ? prototypes.shape[1] : 0;
  return (
    isKnown(count) &&
    isKnown(numbers) &&
    count <= MOST_DECIDED &&
    count > numbers &&
    (coefficients === 0 || isKnown(coefficients)) &&
    numbers === 6 + coefficients
  );
}

interface Letterbox {
  readonly feed: ReturnType<typeof planes>;
  readonly size: Size;
}

/** The picture in the middle of the input; a free input is only as large as the picture needs. */
function letterbox(picture: Picture, input: Port, side: number): Letterbox {
  const fixed = fixedSize(input);
  const frame = fixed ?? { width: wholeCells(side), height: wholeCells(side) };
  const ratio = Math.min(frame.width / picture.width, frame.height / picture.height);
  const inner = shrunkInto(picture, ratio, pythonRound);
  const rest = (outer: number, length: number) => {
    const room = outer - length;
    return fixed ? room : room % STRIDE;
  };
  const [dx, dy] = [rest(frame.width, inner.width), rest(frame.height, inner.height)];
  const size = { width: inner.width + dx, height: inner.height + dy };
  const at = { left: Math.round(dx / 2 - 0.1), top: Math.round(dy / 2 - 0.1) };
  return { feed: planes(pasted(inner, size, at, GREY), unit), size };
}

function wholeCells(side: number): number {
  return Math.max(STRIDE, Math.ceil(side / STRIDE) * STRIDE);
}

/** Side of the input at which it was exported, where its notes say so. */
function exportedSize({ metadata }: ModelFacts): number {
  const sides =
    metadata
      .get("imgsz")
      ?.match(/\d{1,5}/g)
      ?.map(Number) ?? [];
  return sides.length > 0 ? Math.max(...sides) : 640;
}

interface Rows {
  readonly boxes: readonly Corners[];
  readonly scores: readonly number[];
  readonly labels: readonly number[];
  readonly coefficients: readonly Float32Array[];
  /** how many labels there are */
  readonly classes: number;
}

function decided({ data, shape }: Values, coefficients: number, least: number): Rows {
  const [, count = 0, width = 0] = shape;
  const rows = Array.from({ length: count }, (_, row) =>
    data.subarray(row * width, (row + 1) * width),
  ).filter((row) => row[4]! > least);
  const labels = rows.map((row) => Math.max(0, Math.round(row[5]!)));
  return {
    boxes: rows.map(([x0, y0, x1, y1]) => [x0!, y0!, x1!, y1!]),
    scores: rows.map((row) => row[4]!),
    labels,
    coefficients: rows.map((row) => row.subarray(6, 6 + coefficients)),
    classes: Math.max(-1, ...labels) + 1,
  };
}

/** Columns are boxes, rows their numbers: centre, sides, scores of the classes, coefficients. */
function candidates(
  network: Network,
  values: Values,
  name: string,
  coefficients: number,
  least: number,
): Rows {
  network.expect(values, name, [1, -1, -1]);
  const { data, shape } = values;
  const [, numbers = 0, count = 0] = shape;
  const classes = numbers - 4 - coefficients;
  if (classes < 1)
    throw network.unfit(
      `output "${name}" has the shape [${shape.join(", ")}]; wanted [1, 4 + classes + ${coefficients}, boxes]`,
    );
  const boxes: Corners[] = [];
  const scores: number[] = [];
  const labels: number[] = [];
  const own: Float32Array[] = [];
  const at = (row: number, box: number) => data[row * count + box]!;
  for (let box = 0; box < count; box += 1) {
    let label = 0;
    for (let c = 1; c < classes; c += 1) if (at(4 + c, box) > at(4 + label, box)) label = c;
    const score = at(4 + label, box);
    if (!(score > least)) continue;
    boxes.push(cornersOf(at(0, box), at(1, box), at(2, box), at(3, box)));
    scores.push(score);
    labels.push(label);
    own.push(Float32Array.from({ length: coefficients }, (_, k) => at(4 + classes + k, box)));
  }
  return { boxes, scores, labels, coefficients: own, classes };
}

/** From the input's pixels to the picture's, in 32 bits. */
function restored([x0, y0, x1, y1]: Corners, { size }: Letterbox, picture: Picture): Corners {
  const gain = Math.min(size.width / picture.width, size.height / picture.height);
  const inner = innerSize(picture, gain);
  const [gainX, gainY] = [inner.width / picture.width, inner.height / picture.height];
  const left = Math.round((size.width - inner.width) / 2 - 0.1);
  const top = Math.round((size.height - inner.height) / 2 - 0.1);
  const back = (position: number, offset: number, gain: number) =>
    Math.fround(Math.fround(position - offset) / Math.fround(gain));
  return [back(x0, left, gainX), back(y0, top, gainY), back(x1, left, gainX), back(y1, top, gainY)];
}

function innerSize({ width, height }: Size, gain: number): Size {
  const side = (length: number) => Math.max(1, pythonRound(length * gain));
  return { width: side(width), height: side(height) };
}

/** Input pixels that a prototype's pixel stands for. */
const PROTOTYPE = 4;

/**
 * A mask is where the weighted sum of the prototypes is positive, inside of its box: enlarged until
 * the letterbox ends between two pixels, cut out, and resized to the picture.
 */
function drawMask(
  { data, shape }: Values,
  coefficients: Float32Array,
  box: Corners,
  picture: Picture,
) {
  const [, channels = 0, height = 0, width = 0] = shape;
  const sum = new Float32Array(width * height);
  for (let k = 0; k < channels; k += 1) {
    const plane = data.subarray(k * sum.length, (k + 1) * sum.length);
    for (let at = 0; at < sum.length; at += 1) sum[at]! += coefficients[k]! * plane[at]!;
  }
  const window = windowOf(box, picture);
  const map = unpadded({ width, height, data: sum }, picture);
  const logits = resizeLinear(map, picture.width, picture.height, window);
  return maskAbove(logits.data, 0, window, picture);
}

function unpadded(map: FloatMap, picture: Picture): FloatMap {
  const input = { width: PROTOTYPE * map.width, height: PROTOTYPE * map.height };
  const inner = innerSize(
    picture,
    Math.min(input.width / picture.width, input.height / picture.height),
  );
  const padding = [input.width - inner.width, input.height - inner.height];
  const isWhole = (factor: number) =>
    padding.every(
      (pad) => ((pad >> 1) * factor) % PROTOTYPE === 0 && (pad * factor) % PROTOTYPE === 0,
    );
  const factor = [1, 2].find(isWhole) ?? PROTOTYPE;
  const large = resizeLinear(map, factor * map.width, factor * map.height);
  const content = innerSize(
    picture,
    Math.min(large.width / picture.width, large.height / picture.height),
  );
  const x = Math.round((large.width - content.width) / 2 - 0.1);
  const y = Math.round((large.height - content.height) / 2 - 0.1);
  return cropMap(large, { x, y, ...content });
}
