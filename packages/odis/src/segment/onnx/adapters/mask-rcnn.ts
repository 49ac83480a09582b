import { type Corners, type Found, maskAbove, type Picture, windowOf } from "../../found.js";
import { resizeLinear } from "../../resize.js";
import { type Adapter, isKnown, namesFor } from "../adapter.js";
import type { Network, Port, Signature, Values } from "../network.js";
import { asBytes, planes, unit } from "../prepare.js";

/** Inside of a mask is where its probability is above this. */
const INSIDE = 0.5;

/**
 * Torchvision's detectors: the picture goes in as it is, and everything up to suppression happens
 * inside. Masks are those of the picture, or small ones of the boxes that are pasted here.
 */
export const maskRcnn: Adapter = {
  name: "mask-rcnn",
  about: "Mask R-CNN and Faster R-CNN as torchvision exports them: masks, or boxes",
  defaults: { score: 0.5, most: 100 },
  recognise: ([network, ...others]) =>
    network && others.length === 0 && portsOf(network) ? "yes" : "no",
  open: ([network, ...others], settings) => {
    const ports = portsOf(network!.signature);
    if (!ports || others.length > 0)
      throw network!.unfit(
        "has not the input [3, height, width] and the outputs boxes, labels, scores (and masks) of torchvision's detectors",
      );
    const { input, boxes, labels, scores, masks } = ports;
    const known = network!.signature.neighbours.classes;
    const classes: string[] = [];
    const names = [boxes, labels, scores, ...(masks ? [masks] : [])].map(({ name }) => name);
    return {
      classes,
      async find(picture, { key }) {
        const { shape, ...feed } = planes(asBytes(picture), unit);
        const own = { ...feed, shape: shape.slice(4 - input.shape.length) };
        const found = await network!.run({ [input.name]: own }, names, key);
        const objects = read(network!, found, names, picture);
        const chosen = objects
          .filter(({ score }) => score > settings.score)
          .slice(0, settings.most);
        const count = Math.max(0, ...objects.map(({ label }) => label + 1));
        classes.push(...namesFor(known, count).slice(classes.length));
        return chosen.map(({ draw, ...object }): Found => ({ ...object, ...draw() }));
      },
    };
  },
};

interface Ports {
  readonly input: Port;
  readonly boxes: Port;
  readonly labels: Port;
  readonly scores: Port;
  readonly masks: Port | undefined;
}

/** By type and shape, since exporters number these outputs as they please. */
function portsOf({ inputs: [input, ...more], outputs }: Signature): Ports | undefined {
  const isPicture = (port: Port) => {
    const [channels, height, width] = port.shape.slice(-3);
    return (
      port.type === "float32" &&
      [3, 4].includes(port.shape.length) &&
      channels === 3 &&
      !isKnown(height) &&
      !isKnown(width)
    );
  };
  const boxes = outputs.find(
    ({ type, shape }) => type === "float32" && shape.length === 2 && shape[1] === 4,
  );
  const labels = outputs.find(({ type, shape }) => type === "int64" && shape.length === 1);
  const scores = outputs.find(({ type, shape }) => type === "float32" && shape.length === 1);
  const masks = outputs.find(({ type, shape }) => type === "float32" && shape.length === 4);
  if (!input || more.length > 0 || !isPicture(input) || !boxes || !labels || !scores)
    return undefined;
  return { input, boxes, labels, scores, masks };
}

function read(
  network: Network,
  [boxes, labels, scores, masks]: readonly Values[],
  names: readonly string[],
  picture: Picture,
) {
  network.expect(boxes!, names[0]!, [-1, 4]);
  const count = boxes!.shape[0]!;
  network.expect(labels!, names[1]!, [count]);
  network.expect(scores!, names[2]!, [count]);
  if (masks) network.expect(masks, names[3]!, [count, 1, -1, -1]);
  return Array.from({ length: count }, (_, index) => {
    const [x0, y0, x1, y1] = boxes!.data.subarray(4 * index, 4 * index + 4);
    const box: Corners = [x0!, y0!, x1!, y1!];
    return {
      box,
      score: scores!.data[index]!,
      label: Math.max(0, labels!.data[index]!),
      draw: () => (masks ? { mask: drawMask(masks, index, box, picture) } : {}),
    };
  });
}

function drawMask({ data, shape }: Values, index: number, box: Corners, picture: Picture) {
  const [, , height = 0, width = 0] = shape;
  const plane = data.subarray(index * width * height, (index + 1) * width * height);
  if (width === picture.width && height === picture.height)
    return maskAbove(plane, INSIDE, { x: 0, y: 0, width, height }, picture);
  return paste({ width, height, data: plane }, box, picture);
}

/** Pixels round the head's mask, so that its edge can lie between two of them. */
const RIM = 1;

/** Torchvision's `paste_masks_in_image`: a rim of nothing, a box of whole pixels, bilinear. */
function paste(
  map: { readonly width: number; readonly height: number; readonly data: Float32Array },
  [x0, y0, x1, y1]: Corners,
  picture: Picture,
) {
  const [width, height] = [map.width + 2 * RIM, map.height + 2 * RIM];
  const data = new Float32Array(width * height);
  for (let y = 0; y < map.height; y += 1)
    data.set(map.data.subarray(y * map.width, (y + 1) * map.width), (y + RIM) * width + RIM);
  const grow = (low: number, high: number, factor: number) => {
    const middle = (high + low) * 0.5;
    const half = (high - low) * 0.5 * factor;
    return [Math.trunc(middle - half), Math.trunc(middle + half)] as const;
  };
  const [left, right] = grow(x0, x1, width / map.width);
  const [top, bottom] = grow(y0, y1, height / map.height);
  const size = { width: Math.max(1, right - left + 1), height: Math.max(1, bottom - top + 1) };
  const visible = windowOf([left, top, left + size.width, top + size.height], picture);
  const inside = { ...visible, x: visible.x - left, y: visible.y - top };
  if (visible.width === 0 || visible.height === 0) return maskAbove([], INSIDE, visible, picture);
  const full = resizeLinear({ width, height, data }, size.width, size.height, inside);
  return maskAbove(full.data, INSIDE, visible, picture);
}
