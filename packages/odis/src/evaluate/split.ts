import { type DataSource, type DataSpec, openSource } from "../data/source.js";
import { DataError } from "../errors.js";
import { Rng } from "../rng.js";

/** What an evaluation compares; JSON. Without test data a fifth of the images is held out. */
export interface EvaluationData {
  readonly train: DataSpec;
  readonly test?: DataSpec | undefined;
}

const heldOut = 0.2;

/** Opens both parts. The images held out are the same at every call. */
export async function openParts({
  train,
  test,
}: EvaluationData): Promise<{ readonly train: DataSource; readonly test: DataSource }> {
  const source = await openSource(train);
  if (test) return { train: source, test: await openSource(test) };
  if (source.size < 2)
    throw new DataError(
      `evaluation: the data set has ${source.size} image; wanted 2 or more, so that some can be ` +
        `held out, or test data of its own.`,
    );
  const order = [...new Rng("held out").permutation(source.size)];
  const size = Math.max(1, Math.round(heldOut * source.size));
  return { train: subset(source, order.slice(size)), test: subset(source, order.slice(0, size)) };
}

/** Some images of a source, in the order given. */
export function subset(source: DataSource, indices: readonly number[]): DataSource {
  return {
    size: indices.length,
    classes: source.classes,
    key: (index) => source.key(indices[index]!),
    read: (index) => source.read(indices[index]!),
  };
}
