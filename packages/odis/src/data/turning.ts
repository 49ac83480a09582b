import type { Frame } from "../objects/index.js";
import { isOrdinary, metadata, says } from "./decode.js";
import type { PictureRules } from "./packed-index.js";

/** Pictures that are looked at in search of one that tells. */
const LOOKED_AT = 20_000;

const [UNKNOWN, STORED, TURNED] = [0, 1, 2];

/**
 * Whether a photograph that EXIF turns is meant as turned where its annotated size fits both ways:
 * a half turn, a mirror, a square. One rule holds for a data set, the one by which its annotations
 * were made, and quarter turns among its other photographs show it: the first of them decides. It
 * is looked for when the first doubtful photograph is met, so that others pay nothing; every thread
 * finds the same, and the first to find it tells the others.
 *
 * @param pictures in the order of the data set; undefined for one that cannot be read
 */
export async function isTurned(
  { otherwise, found }: PictureRules,
  pictures: () => AsyncIterable<
    { readonly bytes: Buffer; readonly wanted: Frame | undefined } | undefined
  >,
): Promise<boolean> {
  const known = Atomics.load(found, 0);
  if (known !== UNKNOWN) return known === TURNED;
  let answer = otherwise === "turned";
  let looked = 0;
  for await (const picture of pictures()) {
    const told = picture?.wanted && (await whatItSays(picture.bytes, picture.wanted));
    if (told !== undefined) {
      answer = told;
      break;
    }
    looked += 1;
    if (looked === LOOKED_AT) break;
  }
  Atomics.store(found, 0, answer ? TURNED : STORED);
  return answer;
}

async function whatItSays(bytes: Buffer, wanted: Frame): Promise<boolean | undefined> {
  if (isOrdinary(bytes)) return undefined;
  const facts = await metadata(bytes).catch(() => undefined);
  return facts && says(facts, wanted);
}
