/** Classes with a colour of their own. */
export const COLOURS = 12;
/** Opacity of what is not chosen, 0..255. */
const FAINT = 36;

/** The colour of a class, by its place in the list; undefined for the many small ones. */
export const hueOf = (place: number): string | undefined =>
  place >= 0 && place < COLOURS ? `hsl(${(place * 360) / COLOURS} 65% 52%)` : undefined;

/**
 * @param classes [objects] places in the list of classes, -1 for none
 * @param soft colour of classes without one of their own
 * @param chosen rows that stand out; default: all
 * @returns [objects × 4] red, green, blue, opacity, 0..255
 */
export function coloursOf(
  classes: readonly number[],
  soft: string,
  chosen?: readonly number[],
): Uint8Array {
  const own = Array.from({ length: COLOURS }, (_, place) => bytesOf(hueOf(place)!));
  const others = bytesOf(soft);
  const colours = new Uint8Array(4 * classes.length);
  for (const [row, place] of classes.entries()) {
    colours.set(own[place] ?? others, 4 * row);
    if (chosen) colours[4 * row + 3] = FAINT;
  }
  for (const row of chosen ?? []) colours[4 * row + 3] = 255;
  return colours;
}

/** A colour of CSS as the browser paints it. */
function bytesOf(colour: string): Uint8ClampedArray {
  const drawing = new OffscreenCanvas(1, 1).getContext("2d")!;
  drawing.fillStyle = colour;
  drawing.fillRect(0, 0, 1, 1);
  return drawing.getImageData(0, 0, 1, 1).data;
}
