import type {
  AttentionMaps,
  NearList,
  ObjectList,
  ObjectMap,
  ImageFacts,
  PatchMaps,
  Problem,
  StoreFacts,
} from "../src/explore/wire.js";

interface Answers {
  readonly store: StoreFacts;
  readonly objects: ObjectList;
  readonly image: ImageFacts;
  readonly near: NearList;
  readonly patches: PatchMaps;
  readonly attention: AttentionMaps;
  readonly map: ObjectMap;
}

/** Asks the server. @throws Error with its sentence when it cannot answer */
export async function ask<Name extends keyof Answers>(
  name: Name,
  question: Readonly<Record<string, string | number>> = {},
  signal?: AbortSignal,
): Promise<Answers[Name]> {
  const words = new URLSearchParams(
    Object.entries(question).map(([key, value]) => [key, String(value)]),
  );
  const response = await fetch(`/api/${name}?${words.toString()}`, signal ? { signal } : {});
  const answer = (await response.json()) as Answers[Name] | Problem;
  if (response.ok) return answer as Answers[Name];
  throw new Error((answer as Problem).error);
}

/** Addresses of pictures. */
export class Pictures {
  constructor(private readonly version: string) {}

  crop(object: number): string {
    return `/crop/${object}.jpg?${this.version}`;
  }

  photo(image: number): string {
    return `/photo/${image}.jpg?${this.version}`;
  }

  small(image: number): string {
    return `/small/${image}.jpg?${this.version}`;
  }
}
