import { basename, dirname, join } from "node:path";
import { DataError, plain, shellWord } from "../core/index.js";
import { type DataSource, dataText, openSource, withWholes } from "../data/index.js";
import { dataOf, readRunConfig, weightsOf } from "../run/index.js";
import { embed, type Embedded, type EmbedOptions, loadModel } from "../search/index.js";

export interface RunStoreOptions extends Pick<EmbedOptions, "stop" | "onProgress"> {
  /** images of the data set at most, the first ones */
  readonly limit: number;
  readonly device?: string | undefined;
  /** told before the work begins: which data set, and where the store is */
  readonly onBegin?: ((data: string, store: string) => void) | undefined;
}

export interface RunStore {
  readonly path: string;
  /** whose vectors it has */
  readonly checkpoint: string;
  readonly embedded: Embedded;
}

/**
 * The store of a run's own data set, in the run's folder, one for each checkpoint; what is in it
 * already stays.
 *
 * @throws RunError when the run has no checkpoint; DataError when its data set is unknown or gone
 */
export async function runStore(
  run: string,
  { limit, device, onBegin, ...rest }: RunStoreOptions,
): Promise<RunStore> {
  const told = dataOf(readRunConfig(run));
  const data = told && withWholes(told);
  if (!data)
    throw new DataError(
      `${plain(run)}: does not say which data set it was trained on. Embed a library: odis embed ${shellWord(run)} PLACE --out STORE`,
    );
  // Vectors of two checkpoints cannot be compared, and a run may be trained on, even meanwhile.
  const checkpoint = dirname(weightsOf(run));
  const path = join(run, "explore-store", basename(checkpoint));
  const place = dataText(data);
  onBegin?.(place, path);
  const source = first(await openSource(data), limit);
  const { teacher, model } = loadModel(checkpoint, { device });
  using _teacher = teacher;
  const embedded = await embed({ ...rest, teacher, model, source, place, out: path });
  return { path, checkpoint, embedded };
}

function first(source: DataSource, limit: number): DataSource {
  return {
    size: Math.min(source.size, limit),
    classes: source.classes,
    key: (image) => source.key(image),
    read: (image, memory) => source.read(image, memory),
  };
}
