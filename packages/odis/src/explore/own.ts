import { ConfigError } from "../core/index.js";
import { decodePhoto, type Sample } from "../data/index.js";
import type { OwnPhoto } from "../portable/index.js";

/** Photographs that are kept: as many as the page keeps. */
const MOST = 8;

/** Photographs of whoever looks at the page, decoded; only the last ones. */
export class OwnPictures {
  private readonly kept = new Map<number, Sample>();
  private given = 0;

  /** @throws DataError when it cannot be decoded */
  async add(file: Buffer): Promise<OwnPhoto> {
    const sample = await decodePhoto(file, "your photograph");
    const own = this.given;
    this.given += 1;
    this.kept.set(own, sample);
    if (this.kept.size > MOST) this.kept.delete(this.kept.keys().next().value!);
    return { own, width: sample.width, height: sample.height };
  }

  /** @throws ConfigError when it is not kept */
  get(own: number): Sample {
    const found = this.kept.get(own);
    if (found) return found;
    throw new ConfigError(`photograph ${own} of yours is not kept any more: give it again`);
  }
}
