import { randomInt } from "node:crypto";
import { ConfigError } from "../core/index.js";
import { decodePhoto, type Sample } from "../data/index.js";
import type { OwnPhoto } from "../portable/index.js";

/** Most photographs that are kept, those of all open pages together, and their bytes when decoded. */
const [MOST, BYTES] = [64, 2 ** 28];

/** Photographs of whoever looks at the page, decoded; only the last ones. */
export class OwnPictures {
  private readonly kept = new Map<number, Sample>();
  private bytes = 0;
  /** A page that was left open over a restart must not get another's photograph by its own's number. */
  private given = randomInt(2 ** 47);

  /** @param most bytes that are kept; the last photograph is, however large */
  constructor(private readonly most = BYTES) {}

  /** @throws DataError when it cannot be decoded */
  async add(file: Buffer): Promise<OwnPhoto> {
    const sample = await decodePhoto(file, "your photograph");
    const own = this.given;
    this.given += 1;
    this.kept.set(own, sample);
    this.bytes += sample.rgb.length;
    for (const [oldest, { rgb }] of this.kept) {
      if (oldest === own || (this.bytes <= this.most && this.kept.size <= MOST)) break;
      this.kept.delete(oldest);
      this.bytes -= rgb.length;
    }
    return { own, width: sample.width, height: sample.height };
  }

  /** @throws ConfigError when it is not kept */
  get(own: number): Sample {
    const found = this.kept.get(own);
    if (found) return found;
    throw new ConfigError(`photograph ${own} of yours is not kept any more: give it again`);
  }
}
