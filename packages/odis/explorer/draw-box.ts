import type { Photo } from "./photo.js";
import { boxMark } from "./photo.js";

/** Smaller than this, pixels on the screen, it was a click. */
const CLICK = 6;

/** Lets somebody draw a box on a photograph; `done` gets x, y, width, height in its pixels. */
export function drawsBoxes(photo: Photo, done: (box: readonly number[]) => void): void {
  const { element, marks } = photo;
  element.classList.add("draws");
  element.addEventListener("pointerdown", (down) => {
    if (down.button !== 0 || !down.isPrimary) return;
    const start = photo.at(down);
    let drawn: SVGRectElement | undefined;
    let box: readonly number[] = [];
    const move = (event: PointerEvent): void => {
      const far = Math.max(
        Math.abs(event.clientX - down.clientX),
        Math.abs(event.clientY - down.clientY),
      );
      if (far < CLICK && !drawn) return;
      const end = photo.at(event);
      const [x, y] = [Math.min(start[0], end[0]), Math.min(start[1], end[1])];
      box = [x, y, Math.abs(end[0] - start[0]) + 1, Math.abs(end[1] - start[1]) + 1];
      const mark = boxMark(box);
      if (drawn) drawn.replaceWith(mark);
      else marks.append(mark);
      drawn = mark;
    };
    const stop = (): void => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      removeEventListener("pointercancel", stop);
      drawn?.remove();
    };
    const up = (): void => {
      stop();
      if (!drawn) return;
      // The click that ends a drag is none on what lies below.
      const swallow = (event: Event): void => event.stopPropagation();
      addEventListener("click", swallow, { capture: true });
      setTimeout(() => {
        removeEventListener("click", swallow, { capture: true });
        done(box);
      });
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
    addEventListener("pointercancel", stop);
  });
}
