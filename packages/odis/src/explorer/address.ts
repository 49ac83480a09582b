import type { Looked } from "./detail.js";
import type { Marked } from "./library.js";
import { wholeNumbers } from "./whole-numbers.js";

/** What the address asks for: `#image=3&object=12`, `#image=3&box=1,2,3,4`, `#own=0&point=5,6`. */
export function lookedFrom(hash: string): Looked | undefined {
  const words = new URLSearchParams(hash.slice(1));
  const whole = (name: string): number | undefined => {
    const text = words.get(name);
    return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
  };
  const numbers = (name: string, count: number): readonly number[] | undefined =>
    wholeNumbers(words.get(name) ?? "", count);
  const [image, own] = [whole("image"), whole("own")];
  const photo = image !== undefined ? { image } : own !== undefined ? { own } : undefined;
  if (!photo) return undefined;
  const object = whole("object");
  return { photo, object, box: numbers("box", 4), point: numbers("point", 2) };
}

/** The address of something that is marked. */
export function addressOf({ photo, box, point }: Marked): string {
  const where = "own" in photo ? `own=${photo.own}` : `image=${photo.image}`;
  if (box) return `${where}&box=${box.join(",")}`;
  return point ? `${where}&point=${point.join(",")}` : where;
}
