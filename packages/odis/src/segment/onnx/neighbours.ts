import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { plain, readJson, WeightsError } from "../../core/index.js";

/**
 * What Hugging Face's files say of a network, `config.json` and `preprocessor_config.json`: beside
 * the ONNX file or one folder up, as its repositories have them.
 */
export interface Neighbours {
  /** detr, rt_detr … */
  readonly kind: string | undefined;
  /** names of the labels, by index */
  readonly classes: readonly string[] | undefined;
  readonly processor: Processor | undefined;
}

const edge = z
  .int()
  .min(1)
  .max(1 << 14);
const three = z.tuple([z.number(), z.number(), z.number()]);

/** The parts of an image processor that decide what the network is fed. */
const processorSchema = z.looseObject({
  size: z
    .union([
      z.looseObject({ height: edge, width: edge }),
      z.looseObject({ shortest_edge: edge, longest_edge: edge.optional() }),
      z.looseObject({ longest_edge: edge }),
    ])
    .optional(),
  do_rescale: z.boolean().optional(),
  rescale_factor: z.number().optional(),
  do_normalize: z.boolean().optional(),
  image_mean: three.optional(),
  image_std: three.optional(),
  /** Pillow's number of a filter */
  resample: z.int().min(0).max(5).nullish(),
});

export type Processor = z.output<typeof processorSchema>;

const configSchema = z.looseObject({
  model_type: z.string().optional(),
  id2label: z.record(z.string().regex(/^\d{1,5}$/), z.string()).optional(),
});

/** These files are small. */
const LARGEST = 1 << 22;

/** @throws DataError, WeightsError when one is there and is not what its name says */
export async function readNeighbours(path: string): Promise<Neighbours> {
  const config = await read(path, "config.json", configSchema);
  const processor = await read(path, "preprocessor_config.json", processorSchema);
  return {
    kind: config?.model_type,
    classes: config?.id2label && inOrder(config.id2label),
    processor,
  };
}

async function read<S extends z.ZodType>(
  model: string,
  name: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  const folder = dirname(model);
  const path = [join(folder, name), join(folder, "..", name)].find((place) => existsSync(place));
  if (path === undefined) return undefined;
  const parsed = schema.safeParse(await readJson(path, "network's file", LARGEST));
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  throw new WeightsError(plain(path), `${plain(at.join("."))}: ${plain(message)}`);
}

function inOrder(names: Readonly<Record<string, string>>): string[] {
  const count = Math.max(-1, ...Object.keys(names).map(Number)) + 1;
  return Array.from({ length: count }, (_, index) => names[index] ?? `class ${index}`);
}
