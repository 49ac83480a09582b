import { readFileSync } from "node:fs";
import { ConfigError, isRecord, parseJson, plain, reasonOf, show } from "../../core/index.js";
import type { DataSource, DataSpec, OpenSource, Sample } from "../dataset.js";
import type { Reader } from "../registry.js";

/** Several data sets as one. */
export interface MixSpec extends DataSpec {
  readonly kind: "mix";
  readonly parts: readonly {
    readonly data: DataSpec;
    /** share of the images beside the other parts' weights; default: as many as it has */
    readonly weight?: number;
  }[];
}

/** Largest file of parts, bytes. */
const LARGEST = 1 << 20;

/** How often images of a part may be repeated to give it its weight. */
const MOST_REPEATS = 1000;

/**
 * Several data sets with weights: `{ "parts": [{ "data": "coco:a", "weight": 3 }, { "data": "b" }] }`.
 * An epoch shows every image at least once, those of heavier parts several times; classes of one name
 * are one class.
 */
export const mix: Reader = {
  kind: "mix",
  places: "FILE.json",
  about:
    'several data sets as one: { "parts": [{ "data": "coco:a", "weight": 3 }, { "data": "voc:b" }] }',
  detect(look) {
    const isMix = look.isFile && /^\s*\{\s*"parts"\s*:/.test(look.start());
    return isMix ? { place: look.place, because: 'a file of "parts"' } : undefined;
  },
  parse: parseMix,
  place: (spec, textOf) =>
    JSON.stringify({ parts: partsOf(spec).map((part) => ({ ...part, data: textOf(part.data) })) }),
  absolute: (spec, absolute) => ({
    ...spec,
    parts: partsOf(spec).map((part) => ({ ...part, data: absolute(part.data) })),
  }),
  open: openMix,
};

/** @param path of a file, or what would be in it */
function parseMix(path: string, parse: (text: string) => DataSpec): MixSpec {
  let value: unknown;
  try {
    const bytes = path.startsWith("{") ? Buffer.from(path) : readFileSync(path);
    if (bytes.length > LARGEST) throw new Error(`it has ${bytes.length} bytes`);
    value = parseJson(bytes, "it");
  } catch (cause) {
    throw new ConfigError(
      `data mix:${plain(path)} cannot be read: ${plain(reasonOf(cause))}`,
      undefined,
      { cause },
    );
  }
  const parts = isRecord(value) && Array.isArray(value.parts) ? (value.parts as unknown[]) : [];
  if (parts.length === 0)
    throw new ConfigError(
      `data mix:${plain(path)}: wanted { "parts": [{ "data": "KIND:PLACE", "weight": 1 }, …] }`,
    );
  return {
    kind: "mix",
    parts: parts.map((part, at) => {
      const { data, weight } = isRecord(part) ? part : {};
      if (typeof data !== "string" || !isWeight(weight))
        throw new ConfigError(
          `data mix:${plain(path)}: parts[${at}] is ${show(part)}; wanted "data", a place, and maybe "weight", above 0`,
        );
      return { data: parse(data), ...(weight === undefined ? {} : { weight }) };
    }),
  };
}

const isWeight = (value: unknown): value is number | undefined =>
  value === undefined || (typeof value === "number" && value > 0 && Number.isFinite(value));

function partsOf(spec: DataSpec): MixSpec["parts"] {
  const { parts } = spec;
  const isPart = (part: unknown) => isRecord(part) && isRecord(part.data) && isWeight(part.weight);
  if (Array.isArray(parts) && parts.length > 0 && parts.every(isPart)) return parts;
  throw new ConfigError(
    `data of the kind mix: "parts" is ${show(parts)}; wanted data sets with weights`,
  );
}

async function openMix(
  spec: DataSpec,
  open: (spec: DataSpec) => Promise<OpenSource>,
): Promise<DataSource> {
  const parts = partsOf(spec);
  const sources = await Promise.all(parts.map(({ data }) => open(data)));
  const classes = [...new Set(sources.flatMap((source) => source.classes))];
  const labels = sources.map((source) => source.classes.map((name) => classes.indexOf(name)));
  const counts = shares(
    sources.map(({ size }) => size),
    parts.map(({ weight }) => weight),
  );
  const ends = counts.map((_, at) =>
    counts.slice(0, at + 1).reduce((sum, count) => sum + count, 0),
  );
  const locate = (index: number) => {
    const part = ends.findIndex((end) => index < end);
    const place = index - (part === 0 ? 0 : ends[part - 1]!);
    // Repetitions are spread evenly over the part.
    return { part, image: Math.floor((place * sources[part]!.size) / counts[part]!) };
  };
  const relabel = (sample: Sample, part: number): Sample => ({
    ...sample,
    objects: sample.objects.map((object) => ({
      ...object,
      label: labels[part]![object.label] ?? -1,
    })),
  });
  return {
    size: ends.at(-1)!,
    classes,
    key(index) {
      const { part, image } = locate(index);
      return `${part + 1}/${sources[part]!.key(image)}`;
    },
    async read(index, memory) {
      const { part, image } = locate(index);
      const sample = relabel(await sources[part]!.read(image, memory), part);
      return { ...sample, key: `${part + 1}/${sample.key}` };
    },
    async picture(index) {
      const { part, image } = locate(index);
      const source = sources[part]!;
      return (await source.picture?.(image)) ?? `${part + 1}/${source.key(image)}`;
    },
    // Threads share what was read already.
    spec: { kind: "mix", parts: parts.map((part, at) => ({ ...part, data: sources[at]!.spec })) },
  };
}

/**
 * Images of each part in an epoch: in the ratio of the weights, and of each part at least all.
 *
 * @throws ConfigError when a weight would repeat images too often
 */
function shares(sizes: readonly number[], weights: readonly (number | undefined)[]): number[] {
  if (weights.every((weight) => weight === undefined)) return [...sizes];
  const full = weights.map((weight, at) => weight ?? sizes[at]!);
  const scale = Math.max(...sizes.map((size, at) => size / full[at]!));
  return full.map((weight, at) => {
    const count = Math.round(weight * scale);
    if (count <= MOST_REPEATS * sizes[at]! && count < 2 ** 31) return count;
    throw new ConfigError(
      `data mix: at these weights the ${sizes[at]} images of part ${at + 1} would be repeated ${Math.round(count / sizes[at]!)} times; ` +
        `wanted at most ${MOST_REPEATS}`,
    );
  });
}
