import { objectFromBox } from "../objects/index.js";
import type { DataSpec, OpenSource } from "./dataset.js";
import { tellsOfBare } from "./describe.js";

/** What threads open: a data set whose pictures without an object are one each. */
export interface Wholes extends DataSpec {
  readonly kind: "wholes";
  readonly of: DataSpec;
}

/** A data set in which a picture without an object is one as a whole, without a class. */
export function wholeSource(source: OpenSource): OpenSource {
  const { listed } = source;
  return {
    ...source,
    spec: { kind: "wholes", of: source.spec } satisfies Wholes,
    summary: `${source.summary}; a picture without one is an object as a whole`,
    notes: source.notes.filter((note) => !tellsOfBare(note)),
    ...(listed && {
      listed: (image: number) => {
        const found = listed(image);
        return found.length > 0 ? found : [{ label: -1, share: 1 }];
      },
    }),
    read: async (image, memory) => {
      const sample = await source.read(image, memory);
      if (sample.objects.length > 0) return sample;
      const { width, height } = sample;
      return { ...sample, objects: [objectFromBox([0, 0, width, height], sample)] };
    },
  };
}
