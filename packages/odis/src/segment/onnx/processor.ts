import { plain, WeightsError } from "../../core/index.js";
import type { Picture } from "../found.js";
import type { Filter } from "../../portable/index.js";
import type { Processor } from "./neighbours.js";
import type { Feed, Network } from "./network.js";
import { fixedSize } from "./adapter.js";
import {
  imageNet,
  longestEdge,
  type Numbers,
  planes,
  shortestEdge,
  type Size,
  stretched,
  unit,
} from "./prepare.js";

/** How a picture becomes a network's input. */
export interface Preparation {
  /** what `side` is: of the square, of the shorter side, of the longer side */
  readonly fit: "square" | "shortest" | "longest";
  readonly side: number;
  /** most of the longer side, with `shortest` */
  readonly longest?: number;
  readonly filter: Filter;
  readonly numbers: Numbers;
}

/** The published defaults, for networks without a `preprocessor_config.json`. */
export const preparations = {
  detr: { fit: "shortest", side: 800, longest: 1333, filter: "bilinear", numbers: imageNet },
  rtDetr: { fit: "square", side: 640, filter: "bilinear", numbers: unit },
  mavl: { fit: "shortest", side: 800, filter: "bilinear", numbers: imageNet },
  sam: { fit: "longest", side: 1024, filter: "bilinear", numbers: imageNet },
} as const satisfies Record<string, Preparation>;

/**
 * The picture as the network wants it. Its own processor's settings win over `usual`, a fixed input
 * over both, and `side` over what is free.
 */
export function prepared(
  picture: Picture,
  { signature }: Network,
  usual: Preparation,
  side: number | undefined,
): Feed {
  const { processor } = signature.neighbours;
  const own = processor ? asPreparation(processor, usual, signature.path) : usual;
  const size = fixedSize(signature.inputs[0]!) ?? sizeFor(picture, sized(own, side));
  return planes(stretched(picture, size, own.filter), own.numbers);
}

function sized(own: Preparation, side: number | undefined): Preparation {
  if (side === undefined) return own;
  const longest = own.longest && Math.round((own.longest * side) / own.side);
  return { ...own, side, ...(longest === undefined ? {} : { longest }) };
}

export function sizeFor(picture: Size, { fit, side, longest }: Preparation): Size {
  if (fit === "square") return { width: side, height: side };
  return fit === "shortest" ? shortestEdge(picture, side, longest) : longestEdge(picture, side);
}

/** Pillow's numbers of filters. */
const filters: Readonly<Record<number, Filter>> = { 1: "lanczos", 2: "bilinear", 3: "bicubic" };

/** @throws WeightsError for a filter that nobody trains with */
export function asPreparation(own: Processor, usual: Preparation, path: string): Preparation {
  const filter =
    own.resample === undefined || own.resample === null ? usual.filter : filters[own.resample];
  if (!filter)
    throw new WeightsError(
      plain(path),
      `its preprocessor_config.json resizes by Pillow's filter ${own.resample}; wanted 1, 2 or 3`,
    );
  const { numbers } = usual;
  const isScaled = own.do_rescale ?? true;
  const isShifted = own.do_normalize ?? numbers !== unit;
  return {
    ...usual,
    ...(own.size ? edges(own.size) : {}),
    filter,
    numbers: {
      scale: isScaled ? (own.rescale_factor ?? numbers.scale) : 1,
      mean: isShifted ? (own.image_mean ?? imageNet.mean) : unit.mean,
      deviation: isShifted ? (own.image_std ?? imageNet.deviation) : unit.deviation,
    },
  };
}

function edges(size: NonNullable<Processor["size"]>): Partial<Preparation> {
  const [height, shortest, longest] = [size["height"], size["shortest_edge"], size["longest_edge"]];
  if (typeof height === "number") return { fit: "square", side: height };
  if (typeof shortest === "number")
    return { fit: "shortest", side: shortest, ...(typeof longest === "number" ? { longest } : {}) };
  return typeof longest === "number" ? { fit: "longest", side: longest } : {};
}
