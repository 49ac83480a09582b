import { DataError, OdisError, plain, RunError } from "../core/index.js";
import { type DataSource, openSource, parseDataSpec, type Sample } from "../data/index.js";
import type { StoredImage } from "./rows.js";

interface OpenPlace {
  readonly source: DataSource;
  readonly images: ReadonlyMap<string, number>;
}

/** The pictures that a store's vectors are of: it keeps their names only. */
export class StorePictures {
  private readonly places = new Map<string, Promise<OpenPlace>>();

  /**
   * Opens data sets before anybody asks for a picture of them.
   *
   * @throws DataError when one is not there
   */
  async openAll(places: readonly string[]): Promise<void> {
    for (const place of places) await this.open(place);
  }

  /** @throws BadImageError when it cannot be read; DataError, RunError when it is gone */
  async read({ place, key, width, height }: StoredImage): Promise<Sample> {
    const { source, images } = await this.open(place);
    const image = images.get(key);
    if (image === undefined)
      throw new RunError(
        `${plain(place)}: has no image ${plain(key)} any more. Drop what is gone from the store: odis embed … --prune`,
      );
    const sample = await source.read(image);
    if (sample.width === width && sample.height === height) return sample;
    throw new RunError(
      `${plain(place)}: image ${plain(key)} is ${sample.width} × ${sample.height} pixels; it was ` +
        `${width} × ${height} when it was embedded. Embed into another folder.`,
    );
  }

  private open(place: string): Promise<OpenPlace> {
    const known = this.places.get(place) ?? openPlace(place);
    this.places.set(place, known);
    return known;
  }
}

async function openPlace(place: string): Promise<OpenPlace> {
  const source = await openNamed(place);
  const images = new Map<string, number>();
  for (let image = 0; image < source.size; image += 1)
    if (!images.has(source.key(image))) images.set(source.key(image), image);
  return { source, images };
}

async function openNamed(place: string): Promise<DataSource> {
  try {
    return await openSource(parseDataSpec(place));
  } catch (cause) {
    if (!(cause instanceof OdisError)) throw cause;
    throw new DataError(
      `the pictures of the store: ${cause.message}. Put them back; if the store is of an earlier release, ` +
        `which names them from a working folder, run this where odis embed was run`,
      { cause },
    );
  }
}
