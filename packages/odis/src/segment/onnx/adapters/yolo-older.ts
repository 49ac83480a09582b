import { clipCorners, cornersOf, suppress } from "../../boxes.js";
import type { Corners, Found } from "../../found.js";
import {
  type Adapter,
  fixedSize,
  isKnown,
  namesFor,
  pythonNames,
  type Recognised,
  single,
  takesPicture,
} from "../adapter.js";
import type { Port, Signature, Values } from "../network.js";
import { pasted, planes, pythonRound, raw, shrunkInto, type Size, unit } from "../prepare.js";

/** Pixels to a cell in each of the three grids. */
const STRIDES = [8, 16, 32] as const;
const COARSEST = 32;
const GREY = 114;
/** Anchors in a cell of YOLOv5. */
const ANCHORS = 3;

/** YOLOv5: [1, boxes, 5 + classes] of centre, sides, objectness and class probabilities, in pixels. */
export const yolov5: Adapter = {
  name: "yolov5",
  about: "YOLOv5 (and v7) as its own exporter writes it: boxes",
  defaults: { score: 0.25, overlap: 0.45, most: 300 },
  recognise: (networks) => recognise(networks, ANCHORS),
  open: (networks, settings) => {
    const { network, input } = single(networks);
    const [output] = network.signature.outputs;
    const known = pythonNames(network.signature.facts.metadata.get("names"));
    const classes: string[] = [...known];
    return {
      classes,
      async find(picture, { key }) {
        const fixed = fixedSize(input);
        const side = Math.max(COARSEST, Math.ceil((settings.size ?? 640) / COARSEST) * COARSEST);
        const frame = fixed ?? { width: side, height: side };
        const ratio = Math.min(frame.width / picture.width, frame.height / picture.height);
        const inner = shrunkInto(picture, ratio, pythonRound);
        const room = (outer: number, length: number) =>
          fixed ? outer - length : (outer - length) % COARSEST;
        const [dx, dy] = [room(frame.width, inner.width), room(frame.height, inner.height)];
        const size = { width: inner.width + dx, height: inner.height + dy };
        const at = { left: Math.round(dx / 2 - 0.1), top: Math.round(dy / 2 - 0.1) };
        const feed = planes(pasted(inner, size, at, GREY), unit);
        const [values] = await network.run({ [input.name]: feed }, [output!.name], key);
        network.expect(values!, output!.name, [1, -1, -1]);
        const rows = read(values!, settings.score);
        name(classes, known, values!);
        // Unlike its successors it takes padding for what it was before rounding.
        const gain = Math.min(size.width / picture.width, size.height / picture.height);
        const left = (size.width - picture.width * gain) / 2;
        const top = (size.height - picture.height * gain) / 2;
        return suppress(rows.boxes, rows.scores, { ...settings, groups: rows.labels }).map(
          (index): Found => {
            const [x0, y0, x1, y1] = rows.boxes[index]!;
            const box: Corners = [
              (x0 - left) / gain,
              (y0 - top) / gain,
              (x1 - left) / gain,
              (y1 - top) / gain,
            ];
            return {
              score: rows.scores[index]!,
              label: rows.labels[index]!,
              box: clipCorners(box, picture),
            };
          },
        );
      },
    };
  },
};

/** YOLOX: the same numbers, relative to cells; the picture in the upper left corner, bytes in BGR. */
export const yolox: Adapter = {
  name: "yolox",
  about: "YOLOX as its own exporter writes it: boxes",
  defaults: { score: 0.3, overlap: 0.45, most: 300 },
  recognise: (networks) => recognise(networks, 1),
  open: (networks, settings) => {
    const { network, input } = single(networks);
    const [output] = network.signature.outputs;
    const classes: string[] = [];
    return {
      classes,
      async find(picture, { key }) {
        const side = Math.max(COARSEST, Math.ceil((settings.size ?? 640) / COARSEST) * COARSEST);
        const size = fixedSize(input) ?? { width: side, height: side };
        const ratio = Math.min(size.width / picture.width, size.height / picture.height);
        const inner = shrunkInto(picture, ratio, Math.trunc);
        const feed = planes(pasted(inner, size, { left: 0, top: 0 }, GREY), {
          ...raw,
          isBgr: true,
        });
        const [values] = await network.run({ [input.name]: feed }, [output!.name], key);
        network.expect(values!, output!.name, [1, cells(size), -1]);
        const rows = read({ ...values!, data: decoded(values!, size) }, settings.score);
        name(classes, [], values!);
        return suppress(rows.boxes, rows.scores, settings).map((index): Found => {
          const [x0, y0, x1, y1] = rows.boxes[index]!.map((side) => side / ratio);
          const box: Corners = [x0!, y0!, x1!, y1!];
          return { score: rows.scores[index]!, label: rows.labels[index]!, box };
        });
      },
    };
  },
};

/** Told apart by how many boxes there are for the cells of the input. */
function recognise([network, ...others]: readonly Signature[], anchors: number): Recognised {
  if (!network || others.length > 0 || !hasPorts(network)) return "no";
  const size = fixedSize(network.inputs[0]!);
  const [, boxes, numbers] = network.outputs[0]!.shape;
  if (!size || !isKnown(boxes))
    return isKnown(numbers) && isKnown(boxes) && numbers > boxes ? "no" : "perhaps";
  return boxes === anchors * cells(size) ? "yes" : "no";
}

function hasPorts({ inputs, outputs }: Signature): boolean {
  const isBoxes = ({ type, shape }: Port) => type === "float32" && shape.length === 3;
  return (
    inputs.length === 1 && takesPicture(inputs[0]!) && outputs.length === 1 && isBoxes(outputs[0]!)
  );
}

function cells({ width, height }: Size): number {
  return STRIDES.reduce(
    (sum, stride) => sum + Math.floor(width / stride) * Math.floor(height / stride),
    0,
  );
}

/** Boxes whose objectness times best class probability is high enough. */
function read({ data, shape }: Values, least: number) {
  const [, count = 0, numbers = 0] = shape;
  const boxes: Corners[] = [];
  const scores: number[] = [];
  const labels: number[] = [];
  for (let row = 0; row < count; row += 1) {
    const at = row * numbers;
    if (!(data[at + 4]! > least)) continue;
    let label = 0;
    for (let c = 1; c < numbers - 5; c += 1)
      if (data[at + 5 + c]! > data[at + 5 + label]!) label = c;
    const score = data[at + 4]! * data[at + 5 + label]!;
    if (!(score > least)) continue;
    boxes.push(cornersOf(data[at]!, data[at + 1]!, data[at + 2]!, data[at + 3]!));
    scores.push(score);
    labels.push(label);
  }
  return { boxes, scores, labels };
}

/** Cells and logarithms as pixels of the input. */
function decoded({ data, shape }: Values, { width, height }: Size): Float32Array {
  const numbers = shape[2]!;
  const out = data.slice();
  let at = 0;
  for (const stride of STRIDES) {
    const columns = Math.floor(width / stride);
    for (let cell = 0; cell < columns * Math.floor(height / stride); cell += 1, at += numbers) {
      out[at] = (out[at]! + (cell % columns)) * stride;
      out[at + 1] = (out[at + 1]! + Math.floor(cell / columns)) * stride;
      out[at + 2] = Math.exp(out[at + 2]!) * stride;
      out[at + 3] = Math.exp(out[at + 3]!) * stride;
    }
  }
  return out;
}

function name(classes: string[], known: readonly string[], { shape }: Values): void {
  classes.push(...namesFor(known, shape[2]! - 5).slice(classes.length));
}
