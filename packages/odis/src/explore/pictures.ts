import sharp, { type Sharp } from "sharp";
import { Cache } from "../core/index.js";
import type { Sample } from "../data/index.js";
import { type Store, StorePictures } from "../search/index.js";

/** Bytes of decoded pictures, and of finished JPEGs, that are kept. */
const [DECODED, FINISHED] = [2 ** 28, 2 ** 27];
/** Longest sides, pixels. */
export const sides = { photo: 1200, small: 320, crop: 160 } as const;
/** Room round an object in its crop, in parts of the longer side of its box. */
const MARGIN = 0.1;

/** Photographs of a store and cut-outs of them, as JPEGs for a page. */
export class PagePictures {
  private readonly pictures = new StorePictures();
  private readonly decoded = new Cache<number, Sample>(DECODED, ({ rgb }) => rgb.length);
  private readonly finished = new Cache<string, Buffer>(FINISHED, ({ length }) => length);

  constructor(private readonly store: Store) {}

  /** @throws DataError when a data set is not there */
  check(): Promise<void> {
    return this.pictures.openAll(this.store.places);
  }

  /** @param image its row */
  read(image: number): Promise<Sample> {
    return this.decoded.get(image, async () => this.pictures.read(this.store.image(image)));
  }

  photo(image: number, longest: number): Promise<Buffer> {
    return this.finished.get(`photo ${image} ${longest}`, async () =>
      jpeg(
        raw(await this.read(image)).resize(longest, longest, {
          fit: "inside",
          withoutEnlargement: true,
        }),
      ),
    );
  }

  /** An object with a little of what is round it, its longer side scaled. */
  crop(object: number): Promise<Buffer> {
    return this.finished.get(`crop ${object}`, async () => {
      const { image, box } = this.store.object(object);
      const sample = await this.read(image.row);
      const margin = Math.round(Math.max(box.width, box.height) * MARGIN);
      const [left, top] = [Math.max(0, box.x - margin), Math.max(0, box.y - margin)];
      const width = Math.min(sample.width, box.x + box.width + margin) - left;
      const height = Math.min(sample.height, box.y + box.height + margin) - top;
      const cut = raw(sample).extract({ left, top, width, height });
      const side = sides.crop;
      return jpeg(cut.resize(side, side, { fit: "inside" }));
    });
  }
}

const raw = ({ rgb, width, height }: Sample) => sharp(rgb, { raw: { width, height, channels: 3 } });

const jpeg = (picture: Sharp): Promise<Buffer> => picture.jpeg({ quality: 82 }).toBuffer();
