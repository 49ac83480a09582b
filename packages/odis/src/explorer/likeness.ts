import type { PatchValues } from "../portable/index.js";
import type { Library, PhotoRef } from "./library.js";
import type { Photo } from "./photo.js";

/** Cosines, times 100, that are shown cold and hot. */
const RANGE = [0, 100] as const;

/**
 * Shows, for the patch below the pointer, how like it the patches of some photographs are.
 *
 * @param pointed the photograph that the pointer is over
 * @param others more photographs, by the rows of their images
 * @returns ends it
 */
export function showLikeness(
  library: Pick<Library, "patches">,
  { of, photo }: { readonly of: PhotoRef; readonly photo: Photo },
  others: readonly { readonly image: number; readonly photo: Photo }[],
  tell: (error: unknown) => void,
): () => void {
  const images = [...new Set(others.map(({ image }) => image))];
  let waiting: readonly [number, number] | undefined;
  let busy = false;
  let ended = false;
  const next = async (): Promise<void> => {
    if (busy || !waiting || ended) return;
    const [x, y] = waiting;
    waiting = undefined;
    busy = true;
    try {
      const maps = await library.patches!(of, x, y, images);
      if (ended) return;
      heat(photo, maps.here);
      for (const map of maps.others)
        for (const shown of others) if (shown.image === map.image) heat(shown.photo, map);
    } catch (error) {
      if (!ended) tell(error);
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
    for (const shown of [{ photo }, ...others]) shown.photo.heat();
  };
}

/** From the least alike patch, so that young networks, to which all is alike, show something, too. */
function heat(photo: Photo, map: PatchValues): void {
  photo.heat(map, [Math.min(RANGE[1] - 10, ...map.values), RANGE[1]]);
}
