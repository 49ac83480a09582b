import { ask } from "./api.js";
import type { Photo } from "./photo.js";

/** Cosines, times 100, that are shown cold and hot. */
const RANGE = [0, 100] as const;

/**
 * Shows, for the patch below the pointer, how like it the patches of some photographs are.
 *
 * @param image row of the photograph that the pointer is over
 * @param others more photographs, by the rows of their images
 * @returns ends it
 */
export function showLikeness(
  photo: Photo,
  image: number,
  others: readonly { readonly image: number; readonly photo: Photo }[],
  tell: (error: unknown) => void,
): () => void {
  const all = [{ image, photo }, ...others];
  let waiting: readonly [number, number] | undefined;
  let busy = false;
  let ended = false;
  const next = async (): Promise<void> => {
    if (busy || !waiting || ended) return;
    const [x, y] = waiting;
    waiting = undefined;
    busy = true;
    try {
      const rows = others.map(({ image: row }) => row);
      const { maps } = await ask("patches", { image, x, y, in: rows.join(",") || image });
      if (ended) return;
      for (const map of maps)
        for (const shown of all)
          if (shown.image === map.image) shown.photo.heat(map, rangeOf(map.values));
    } catch (error) {
      tell(error);
    } finally {
      busy = false;
    }
    await next();
  };
  const move = (event: PointerEvent): void => {
    waiting = photo.at(event);
    void next();
  };
  photo.element.addEventListener("pointermove", move);
  return () => {
    ended = true;
    photo.element.removeEventListener("pointermove", move);
    for (const shown of all) shown.photo.heat();
  };
}

/** From the least alike patch, so that young networks, to which all is alike, show something, too. */
function rangeOf(likeness: readonly number[]): readonly [number, number] {
  return [Math.min(RANGE[1] - 10, ...likeness), RANGE[1]];
}
