import type { LabelMap } from "./felzenszwalb.js";
import type { Bytes } from "../portable/index.js";

/** A set of regions that may be an object. */
export interface Proposal {
  /** labels of the regions that it is made of */
  readonly regions: readonly number[];
  /** how unlike its surroundings it is, and how compact, 0..1 */
  readonly score: number;
}

/** Bins of a colour channel. */
const BINS = 12;
const WIDTH = 3 * BINS;

/** A region, or several that were joined. */
interface Node {
  readonly regions: readonly number[];
  readonly size: number;
  /** [3 channels, bins], each channel sums to 1 */
  readonly colors: Float64Array;
  readonly box: readonly [left: number, top: number, right: number, bottom: number];
  /** pixels on the picture's edge */
  readonly rim: number;
}

/** Shares of the picture that an object may cover. */
const SIZES = [0.003, 0.7] as const;

/**
 * Regions and what they give when the two most alike neighbours are joined again and again
 * (selective search, Uijlings et al. 2013: alike in colour, small first, filling their common box),
 * each scored by how its colours differ from those round it.
 */
export function proposals(map: LabelMap, image: Bytes): Proposal[] {
  const pixels = map.width * map.height;
  const nodes = grow(leaves(map, image), neighboursOf(map), pixels);
  return nodes
    .filter(({ size }) => size >= SIZES[0] * pixels && size <= SIZES[1] * pixels)
    .map((node) => ({ regions: node.regions, score: scoreOf(node, map, image) }));
}

function leaves({ width, height, labels, count }: LabelMap, image: Bytes): Node[] {
  const nodes = Array.from({ length: count }, (_, label) => ({
    regions: [label],
    size: 0,
    colors: new Float64Array(WIDTH),
    box: [width, height, 0, 0] as [number, number, number, number],
    rim: 0,
  }));
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      const node = nodes[labels[at]!]!;
      const { box } = node;
      node.size += 1;
      if (x === 0 || y === 0 || x === width - 1 || y === height - 1) node.rim += 1;
      [box[0], box[1]] = [Math.min(box[0], x), Math.min(box[1], y)];
      [box[2], box[3]] = [Math.max(box[2], x + 1), Math.max(box[3], y + 1)];
      count3(node.colors, image.data, at);
    }
  }
  for (const { colors, size } of nodes)
    for (let bin = 0; bin < WIDTH; bin += 1) colors[bin]! /= size;
  return nodes;
}

function count3(bins: Float64Array, data: Uint8Array, pixel: number): void {
  for (let c = 0; c < 3; c += 1) bins[c * BINS + ((data[3 * pixel + c]! * BINS) >> 8)]! += 1;
}

function neighboursOf({ width, height, labels, count }: LabelMap): Set<number>[] {
  const neighbours = Array.from({ length: count }, () => new Set<number>());
  const meet = (a: number, b: number) => {
    if (a === b) return;
    neighbours[a]!.add(b);
    neighbours[b]!.add(a);
  };
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (x + 1 < width) meet(labels[at]!, labels[at + 1]!);
      if (y + 1 < height) meet(labels[at]!, labels[at + width]!);
    }
  }
  return neighbours;
}

/** All nodes that ever were: the leaves, then one for each joining. */
function grow(leafs: readonly Node[], neighbours: Set<number>[], pixels: number): Node[] {
  const nodes = [...leafs];
  const pairs = new Map<string, { a: number; b: number; alike: number }>();
  const pair = (a: number, b: number) => {
    const key = a < b ? `${a},${b}` : `${b},${a}`;
    if (!pairs.has(key)) pairs.set(key, { a, b, alike: alikeness(nodes[a]!, nodes[b]!, pixels) });
  };
  for (const [a, others] of neighbours.entries()) for (const b of others) pair(a, b);
  while (pairs.size > 0) {
    let best: { a: number; b: number; alike: number } | undefined;
    for (const candidate of pairs.values())
      if (!best || candidate.alike > best.alike) best = candidate;
    const { a, b } = best!;
    const made = nodes.length;
    nodes.push(joined(nodes[a]!, nodes[b]!));
    for (const [key, { a: one, b: other }] of pairs)
      if (one === a || one === b || other === a || other === b) pairs.delete(key);
    const around = new Set([...neighbours[a]!, ...neighbours[b]!]);
    around.delete(a);
    around.delete(b);
    neighbours.push(around);
    for (const other of around) {
      neighbours[other]!.delete(a);
      neighbours[other]!.delete(b);
      neighbours[other]!.add(made);
      pair(made, other);
    }
  }
  return nodes;
}

function joined(a: Node, b: Node): Node {
  const size = a.size + b.size;
  return {
    regions: [...a.regions, ...b.regions],
    size,
    colors: a.colors.map((share, bin) => (share * a.size + b.colors[bin]! * b.size) / size),
    box: commonBox(a, b),
    rim: a.rim + b.rim,
  };
}

function commonBox({ box: a }: Node, { box: b }: Node): Node["box"] {
  return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
}

/** Common colours, smallness, and how little of the common box is neither's; each 0..1. */
function alikeness(a: Node, b: Node, pixels: number): number {
  let colors = 0;
  for (let bin = 0; bin < WIDTH; bin += 1) colors += Math.min(a.colors[bin]!, b.colors[bin]!);
  const [left, top, right, bottom] = commonBox(a, b);
  const gap = (right - left) * (bottom - top) - a.size - b.size;
  return colors / 3 + (1 - (a.size + b.size) / pixels) + (1 - gap / pixels);
}

/** How far round its box an object's surroundings reach, in sides of it. */
const AROUND = 0.25;

/**
 * Contrast of colours to the surroundings (Alexe et al. 2012), times how much of its box it fills,
 * less what lies on the picture's edge: background mostly does.
 */
function scoreOf(node: Node, map: LabelMap, image: Bytes): number {
  const [left, top, right, bottom] = node.box;
  const dx = Math.ceil((right - left) * AROUND);
  const dy = Math.ceil((bottom - top) * AROUND);
  const own = new Set(node.regions);
  const around = new Float64Array(WIDTH);
  let count = 0;
  for (let y = Math.max(0, top - dy); y < Math.min(map.height, bottom + dy); y += 1) {
    for (let x = Math.max(0, left - dx); x < Math.min(map.width, right + dx); x += 1) {
      const at = y * map.width + x;
      if (own.has(map.labels[at]!)) continue;
      count3(around, image.data, at);
      count += 1;
    }
  }
  if (count === 0) return 0;
  let difference = 0;
  for (let bin = 0; bin < WIDTH; bin += 1) {
    const [inside, outside] = [node.colors[bin]!, around[bin]! / count];
    const sum = inside + outside;
    if (sum > 0) difference += (inside - outside) ** 2 / sum;
  }
  const fill = node.size / ((right - left) * (bottom - top));
  const edge = Math.min(1, node.rim / (2 * Math.sqrt(Math.PI * node.size)));
  return (difference / 6) * Math.sqrt(fill) * (1 - edge) ** 2;
}
