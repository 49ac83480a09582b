/** Limits of one comparison; the defaults are the ones of the golden data's own notes. */
export interface Tolerance {
  readonly rtol?: number;
  readonly atol?: number;
  /** elements that are not compared, e.g. those whose true value is rounding noise */
  readonly skip?: (index: number) => boolean;
  /** named in the message */
  readonly what?: string;
}

/**
 * Fails unless |a - b| <= atol * s + rtol * |b| for every element, where s is the largest |b| of
 * the whole tensor, kept within 0.01 and 1: small tensors are not compared with a large atol.
 * The message names the worst element in units of its limit.
 *
 * @param expected the witness; NaN equals NaN and infinities equal themselves
 */
export function expectClose(
  actual: ArrayLike<number | bigint>,
  expected: ArrayLike<number | bigint>,
  { rtol = 1e-4, atol = 1e-5, skip, what = "values" }: Tolerance = {},
): void {
  if (actual.length !== expected.length)
    throw new Error(`${what}: got ${actual.length} elements, wanted ${expected.length}`);
  let largest = 0;
  for (let index = 0; index < expected.length; index += 1) {
    const size = Math.abs(Number(expected[index]));
    if (Number.isFinite(size)) largest = Math.max(largest, size);
  }
  const scale = Math.min(1, Math.max(0.01, largest));

  let worst = { index: -1, ratio: 1 };
  let failures = 0;
  for (let index = 0; index < expected.length; index += 1) {
    const got = Number(actual[index]);
    const want = Number(expected[index]);
    if (Object.is(got, want) || got === want || skip?.(index)) continue;
    const ratio = Math.abs(got - want) / (atol * scale + rtol * Math.abs(want));
    if (ratio <= 1) continue; // NaN and infinite differences fall through
    failures += 1;
    if (!(ratio <= worst.ratio)) worst = { index, ratio };
  }
  if (failures === 0) return;
  const { index, ratio } = worst;
  throw new Error(
    `${what}: ${failures} of ${expected.length} elements differ; worst at index ${index}: ` +
      `got ${actual[index]}, wanted ${expected[index]}, off by ${ratio.toPrecision(3)} times the tolerance ` +
      `(rtol ${rtol}, atol ${atol} x ${scale.toPrecision(3)})`,
  );
}
