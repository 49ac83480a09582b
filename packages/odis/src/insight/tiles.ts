import { BadImageError, Cache, DataError, plain, RunError } from "../core/index.js";
import type { Sample } from "../data/index.js";
import { type Html, html, objectCrop, pngAddress, shrunk } from "../report/index.js";
import { type ItemKind, type Store, type StoredImage, StorePictures } from "../search/index.js";

/** Side of a picture on the page, pixels. */
const SIDE = 104;
/** Bytes of decoded photographs that are kept: tiles of one stand near each other. */
const KEPT = 2 ** 28;

/** Pictures of a store's rows, for a page. */
export class Tiles {
  private readonly pictures = new StorePictures();
  private readonly kept = new Cache<string, Sample | string>(KEPT, (read) =>
    typeof read === "string" ? read.length : read.rgb.length,
  );
  private readonly told = new Set<string>();

  /** @param onMissing told of what cannot be shown, each reason once */
  constructor(
    private readonly store: Store,
    private readonly onMissing: (reason: string) => void,
  ) {}

  /** A row's picture with a few words below it. */
  async tile(kind: ItemKind, row: number, words: Html): Promise<Html> {
    const object = kind === "objects" ? this.store.object(row) : undefined;
    const image = object?.image ?? this.store.image(row);
    const sample = await this.read(image);
    if (typeof sample === "string")
      return html`<li><div class="missing" title="${sample}">no picture</div>${words}</li>`;
    const shown = object ? objectCrop(sample, object.box, object.mask().pixels()) : sample;
    const { width, height, rgb } = await shrunk(shown, SIDE);
    const address = await pngAddress({ width, height, rgb });
    return html`<li><img src="${address}" alt="" title="${image.key}" width="${width}" height="${height}">${words}</li>`;
  }

  private read(image: StoredImage): Promise<Sample | string> {
    return this.kept.get(`${image.place}\n${image.key}`, () => this.readAnew(image));
  }

  private async readAnew(image: StoredImage): Promise<Sample | string> {
    try {
      return await this.pictures.read(image);
    } catch (error) {
      if (![BadImageError, DataError, RunError].some((kind) => error instanceof kind)) throw error;
      const { message } = error as Error;
      if (!this.told.has(message)) this.onMissing(plain(message));
      this.told.add(message);
      return message;
    }
  }
}
