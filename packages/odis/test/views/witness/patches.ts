/**
 * Object pixels in each patch.
 *
 * @param pixels mask, height × width row-major, 0/1; both sides are multiples of `patch`
 * @returns [height/patch, width/patch], row-major
 */
export function patchCounts(
  pixels: Uint8Array,
  width: number,
  height: number,
  patch: number,
): Int32Array {
  const columns = width / patch;
  const counts = new Int32Array(columns * (height / patch));
  for (let y = 0; y < height; y += 1) {
    const row = Math.floor(y / patch) * columns;
    for (let column = 0; column < columns; column += 1) {
      const begin = y * width + column * patch;
      let sum = 0;
      for (let at = begin; at < begin + patch; at += 1) sum += pixels[at]!;
      counts[row + column]! += sum;
    }
  }
  return counts;
}
