import type { Found } from "../../found.js";
import { maskOfPixels, regionsOf } from "../../regions.js";
import { resizePillow } from "../../../portable/index.js";
import { type Adapter, fixedSize, type Recognised, single, takesPicture } from "../adapter.js";
import type { Signature, Values } from "../network.js";
import { imageNet, type Numbers, planes, stretched } from "../prepare.js";

/** Inside is where a map, spread over 0..255, is above this. */
const INSIDE = 127;

/** How one family wants its numbers. Both divide by the largest byte of the picture, as trained. */
interface Family {
  readonly name: string;
  readonly about: string;
  readonly side: number;
  readonly mean: Numbers["mean"];
  readonly deviation: Numbers["deviation"];
}

export const u2net = adapter({
  name: "u2net",
  about: "U²-Net: salient things, each connected region one object",
  side: 320,
  mean: imageNet.mean,
  deviation: imageNet.deviation,
});

export const isnet = adapter({
  name: "isnet",
  about: "IS-Net (DIS): salient things, each connected region one object",
  side: 1024,
  mean: [0.5, 0.5, 0.5],
  deviation: [1, 1, 1],
});

function adapter(family: Family): Adapter {
  const { name, about, side, mean, deviation } = family;
  return {
    name,
    about,
    defaults: { score: 0.5, most: 10 },
    recognise: (networks) => recognise(networks, side),
    open: (networks, settings) => {
      const { network, input } = single(networks);
      const [output] = network.signature.outputs;
      return {
        classes: [],
        async find(picture, { key }) {
          const free = settings.size ?? side;
          const size = fixedSize(input) ?? { width: free, height: free };
          const image = stretched(picture, size, "lanczos");
          const brightest = Math.max(
            1e-6,
            image.data.reduce((a, b) => Math.max(a, b), 0),
          );
          const feed = planes(image, { scale: 1 / brightest, mean, deviation });
          const [map] = await network.run({ [input.name]: feed }, [output!.name], key);
          network.expect(map!, output!.name, [1, 1, size.height, size.width]);
          const inside = enlarged(spread(map!), picture.width, picture.height);
          const sure = enlarged(asShares(map!), picture.width, picture.height);
          const mask = Uint8Array.from(inside, (value) => Number(value > INSIDE));
          return regionsOf(mask, picture)
            .map((pixels) => ({ pixels, score: meanOver(sure, pixels) / 255 }))
            .filter(({ score }) => score > settings.score)
            .slice(0, settings.most)
            .map(({ pixels, score }): Found => {
              return { score, label: -1, mask: maskOfPixels(pixels, picture) };
            });
        },
      };
    },
  };
}

/** One picture in, maps of its size out, the first of which is what counts. */
function recognise([network, ...others]: readonly Signature[], side: number): Recognised {
  if (!network || others.length > 0) return "no";
  const { inputs, outputs } = network;
  const [input, ...more] = inputs;
  const [first] = outputs;
  if (!input || more.length > 0 || !takesPicture(input) || first?.shape.length !== 4) return "no";
  if (first.shape[1] !== 1) return "no";
  const size = fixedSize(input);
  if (!size) return "perhaps";
  return size.width === side && size.height === side ? "yes" : "no";
}

interface ByteMap {
  readonly width: number;
  readonly height: number;
  readonly channels: 1;
  readonly data: Uint8Array;
}

/** From the least to the largest value over all bytes, as these networks are read. */
function spread({ data, shape }: Values): ByteMap {
  const low = data.reduce((a, b) => Math.min(a, b), Infinity);
  const high = data.reduce((a, b) => Math.max(a, b), -Infinity);
  const range = high > low ? high - low : 1;
  return asBytes(
    shape,
    data.map((value) => (value - low) / range),
  );
}

const asShares = ({ data, shape }: Values): ByteMap => asBytes(shape, data);

/** Shares as bytes, fractions cut off. */
function asBytes(shape: readonly number[], shares: Float32Array): ByteMap {
  const [, , height = 0, width = 0] = shape;
  const data = Uint8Array.from(shares, (share) =>
    Math.trunc(Math.min(Math.max(share, 0), 1) * 255),
  );
  return { width, height, channels: 1, data };
}

function enlarged(map: ByteMap, width: number, height: number): Uint8Array {
  return resizePillow(map, width, height, "lanczos").data;
}

function meanOver(values: Uint8Array, pixels: Int32Array): number {
  return pixels.reduce((sum, at) => sum + values[at]!, 0) / Math.max(1, pixels.length);
}
