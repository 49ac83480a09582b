import { z } from "zod";

/** One sentence is enough: what is wrong with a number is not said again of its group. */
const alone = (wanted: string) => ({ error: wanted, abort: true });

/** A number with a sentence for people instead of the validator's. */
export function number(low: number, high: number, meaning: string) {
  const wanted = `wanted ${meaning}, from ${low} to ${high}`;
  return z.number({ error: wanted }).min(low, alone(wanted)).max(high, alone(wanted));
}

/** A whole number with such a sentence. */
export function whole(low: number, high: number, meaning: string) {
  const wanted = `wanted ${meaning}, a whole number from ${low} to ${high}`;
  return z.int({ error: wanted }).min(low, alone(wanted)).max(high, alone(wanted));
}

/** [lowest, highest], each within low..high. */
export function range(low: number, high: number, meaning: string) {
  const end = number(low, high, meaning);
  return z
    .tuple([end, end], { error: `wanted [lowest, highest] of ${meaning}` })
    .refine(([from, to]) => from <= to, {
      error: `wanted [lowest, highest] of ${meaning}, the lower number first`,
    })
    .readonly();
}

/** A choice whose values had other names once: files and runs that have those go on. */
export function renamed<Choice extends z.ZodType>(
  choice: Choice,
  names: Readonly<Record<string, string>>,
) {
  return z.preprocess(
    (value) => (typeof value === "string" && Object.hasOwn(names, value) ? names[value] : value),
    choice,
  );
}
