import type { Finder } from "../found.js";
import type { Network, Port, Signature } from "./network.js";
import type { Size } from "./prepare.js";

/** What may be set of any adapter; each has defaults for those that it reads. */
export interface AdapterSettings {
  /** least score of an object */
  readonly score: number;
  /** objects that overlap more with a better one are dropped (non-maximum suppression) */
  readonly overlap: number;
  /** most objects in a picture */
  readonly most: number;
  /** side of the input where the network leaves it free, pixels; default: what it was exported for */
  readonly size: number | undefined;
  /** points on a side of the grid that a network with prompts is asked at */
  readonly points: number;
  /** least stability of a mask under other thresholds */
  readonly stability: number;
}

/** Whether a network is one of an adapter's; `perhaps`: others read the same ports differently. */
export type Recognised = "yes" | "perhaps" | "no";

/** How one kind of network is fed, and what its outputs mean. */
export interface Adapter {
  /** for `--adapter` */
  readonly name: string;
  /** one clause, for help */
  readonly about: string;
  readonly defaults: Partial<AdapterSettings>;
  /** @param networks of the files, in the order given */
  recognise(networks: readonly Signature[]): Recognised;
  /** @throws WeightsError when the networks have not the inputs and outputs that it needs */
  open(networks: readonly Network[], settings: AdapterSettings): Finder;
}

/** The size of a [batch, 3, height, width] input; undefined where it is free. */
export function fixedSize({ shape }: Port): Size | undefined {
  const [height, width] = shape.slice(-2);
  return typeof height === "number" && typeof width === "number" && height > 0 && width > 0
    ? { width, height }
    : undefined;
}

/** Whether a port takes one picture: [1 or free, 3, height, width] float32. */
export function takesPicture({ type, shape }: Port): boolean {
  const [batch, channels] = shape;
  return (
    type === "float32" && shape.length === 4 && channels === 3 && (batch === 1 || !isKnown(batch))
  );
}

export const isKnown = (size: number | string | undefined): size is number =>
  typeof size === "number" && size > 0;

export const outputNames = ({ outputs }: Signature): readonly string[] =>
  outputs.map(({ name }) => name);

/** The only network, its picture input, and the outputs of some names. */
export function single(networks: readonly Network[], names: readonly string[] = []) {
  const network = networks[0]!;
  const { inputs, outputs } = network.signature;
  if (networks.length > 1)
    throw network.unfit(`is one of ${networks.length} files; wanted one, this kind has no parts`);
  const input = inputs[0];
  if (!input || inputs.length > 1)
    throw network.unfit(`has ${inputs.length} inputs; wanted one, the picture`);
  for (const name of names)
    if (!outputs.some((output) => output.name === name))
      throw network.unfit(
        `has no output "${name}"; it has ${outputs.map((output) => `"${output.name}"`).join(", ")}`,
      );
  return { network, input };
}

/** Names of labels as Python writes them, `{0: 'person', 1: 'bicycle'}`, as exporters leave them. */
export function pythonNames(text: string | undefined): string[] {
  const names: string[] = [];
  for (const [, index, single, double] of (text ?? "").matchAll(
    /(\d{1,5}):\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")/g,
  ))
    names[Number(index)] = (single ?? double ?? "").replaceAll(/\\(.)/g, "$1");
  return Array.from(names, (name, index) => name ?? `class ${index}`);
}

/** Names for labels up to the highest: those that are known, numbers for the rest. */
export function namesFor(known: readonly string[] | undefined, count: number): string[] {
  return Array.from({ length: count }, (_, index) => known?.[index] ?? `class ${index}`);
}
