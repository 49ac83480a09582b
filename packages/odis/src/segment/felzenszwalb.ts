import type { Bytes } from "../portable/index.js";

/** Every pixel's region: 0 to count - 1. */
export interface LabelMap {
  readonly width: number;
  readonly height: number;
  readonly labels: Int32Array;
  readonly count: number;
}

export interface GraphSettings {
  /** how much regions of one pixel may differ: larger gives larger regions */
  readonly scale: number;
  /** smaller regions join the neighbour that differs least, pixels */
  readonly least: number;
}

/** Steps of difference that edges are sorted by; colours differ by 442 at most. */
const STEPS = 16;
/** The Gaussian that the published code smooths with before it compares neighbours. */
const SMOOTHING = [0.03, 0.235, 0.47, 0.235, 0.03] as const;

/**
 * Graph-based segmentation (Felzenszwalb and Huttenlocher 2004): neighbours join, the most alike
 * first, as long as they differ no more than pixels inside of their regions do.
 */
export function segmentGraph(image: Bytes, { scale, least }: GraphSettings): LabelMap {
  const { width, height } = image;
  const edges = sortedEdges(smoothed(image), width, height);
  const forest = new Forest(width * height);
  for (let at = 0; at < edges.from.length; at += 1) {
    const [a, b] = [forest.root(edges.from[at]!), forest.root(edges.to[at]!)];
    if (
      a !== b &&
      edges.difference[at]! <= Math.min(forest.limit(a, scale), forest.limit(b, scale))
    )
      forest.join(a, b, edges.difference[at]!);
  }
  for (let at = 0; at < edges.from.length; at += 1) {
    const [a, b] = [forest.root(edges.from[at]!), forest.root(edges.to[at]!)];
    if (a !== b && Math.min(forest.size[a]!, forest.size[b]!) < least)
      forest.join(a, b, edges.difference[at]!);
  }
  const labels = new Int32Array(width * height);
  const numbers = new Map<number, number>();
  for (let at = 0; at < labels.length; at += 1) {
    const root = forest.root(at);
    if (!numbers.has(root)) numbers.set(root, numbers.size);
    labels[at] = numbers.get(root)!;
  }
  return { width, height, labels, count: numbers.size };
}

/** Sets of pixels that can be joined. */
class Forest {
  private readonly parent: Int32Array;
  readonly size: Int32Array;
  /** largest difference inside */
  private readonly inner: Float32Array;

  constructor(pixels: number) {
    this.parent = Int32Array.from({ length: pixels }, (_, at) => at);
    this.size = new Int32Array(pixels).fill(1);
    this.inner = new Float32Array(pixels);
  }

  root(at: number): number {
    let root = at;
    while (this.parent[root] !== root) root = this.parent[root]!;
    for (let next = at; next !== root; ) {
      const above = this.parent[next]!;
      this.parent[next] = root;
      next = above;
    }
    return root;
  }

  /** The difference up to which a region joins others. */
  limit(root: number, scale: number): number {
    return this.inner[root]! + scale / this.size[root]!;
  }

  join(a: number, b: number, difference: number): void {
    const [large, small] = this.size[a]! >= this.size[b]! ? [a, b] : [b, a];
    this.parent[small] = large;
    this.size[large]! += this.size[small]!;
    this.inner[large] = difference;
  }
}

interface Edges {
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly difference: Float32Array;
}

/** Pairs of the eight neighbours of each pixel, by their difference in colour: a counting sort. */
function sortedEdges(colors: Float32Array, width: number, height: number): Edges {
  const most = 4 * width * height;
  const [from, to] = [new Int32Array(most), new Int32Array(most)];
  const difference = new Float32Array(most);
  let count = 0;
  const add = (a: number, b: number) => {
    let sum = 0;
    for (let c = 0; c < 3; c += 1) sum += (colors[3 * a + c]! - colors[3 * b + c]!) ** 2;
    [from[count], to[count], difference[count]] = [a, b, Math.sqrt(sum)];
    count += 1;
  };
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (x + 1 < width) add(at, at + 1);
      if (y + 1 === height) continue;
      add(at, at + width);
      if (x + 1 < width) add(at, at + width + 1);
      if (x > 0) add(at, at + width - 1);
    }
  }
  const starts = new Int32Array(445 * STEPS);
  const step = (at: number) => Math.floor(difference[at]! * STEPS);
  for (let at = 0; at < count; at += 1) starts[step(at) + 1]! += 1;
  for (let at = 1; at < starts.length; at += 1) starts[at]! += starts[at - 1]!;
  const order = new Int32Array(count);
  for (let at = 0; at < count; at += 1) {
    order[starts[step(at)]!] = at;
    starts[step(at)]! += 1;
  }
  return {
    from: order.map((at) => from[at]!),
    to: order.map((at) => to[at]!),
    difference: Float32Array.from(order, (at) => difference[at]!),
  };
}

/** [pixels, 3]: each channel smoothed along rows and columns; edges repeat. */
function smoothed({ width, height, data }: Bytes): Float32Array {
  const reach = (SMOOTHING.length - 1) / 2;
  const pass = (source: ArrayLike<number>, length: number, step: number): Float32Array => {
    const out = new Float32Array(width * height * 3);
    for (let at = 0; at < width * height; at += 1) {
      const place = Math.floor(at / step) % length;
      for (let c = 0; c < 3; c += 1) {
        let sum = 0;
        for (let k = -reach; k <= reach; k += 1) {
          const shift = Math.min(Math.max(place + k, 0), length - 1) - place;
          sum += SMOOTHING[k + reach]! * source[3 * (at + shift * step) + c]!;
        }
        out[3 * at + c] = sum;
      }
    }
    return out;
  };
  return pass(pass(data, width, 1), height, width);
}
