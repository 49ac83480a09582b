import { boxMark, meansPoint, type Photo } from "./photo.js";

/** Smaller than this, pixels on the screen, it was a click. */
const CLICK = 6;

export interface PointedAt {
  /** x, y, width, height, pixels of the photograph */
  readonly box: (box: readonly number[]) => void;
  /** x, y */
  readonly point: (point: readonly number[]) => void;
}

/** Lets somebody draw a box on a photograph, or click on a thing in it; on another object with Shift or Alt. */
export function pointsAt(photo: Photo, done: PointedAt): void {
  const { element, marks } = photo;
  element.classList.add("draws");
  // At the click alone, as objects judge it: whoever presses or lets go of a key meanwhile means one thing.
  element.addEventListener("click", (event) => {
    const isOnOther = event.target instanceof Element && event.target.closest(".other") !== null;
    if (!isOnOther || meansPoint(event)) done.point(photo.at(event));
  });
  element.addEventListener("pointerdown", (down) => {
    if (down.button !== 0 || !down.isPrimary) return;
    const start = photo.at(down);
    let drawn: SVGRectElement | undefined;
    let box: readonly number[] = [];
    const move = (event: PointerEvent): void => {
      if (event.pointerId !== down.pointerId) return;
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
    const end = ({ pointerId, type }: PointerEvent): void => {
      if (pointerId !== down.pointerId) return;
      ended.abort();
      drawn?.remove();
      if (drawn && type === "pointerup") finish();
    };
    const finish = (): void => {
      // The click that ends a drag is none on what lies below.
      const swallow = (event: Event): void => event.stopPropagation();
      addEventListener("click", swallow, { capture: true });
      setTimeout(() => {
        removeEventListener("click", swallow, { capture: true });
        done.box(box);
      });
    };
    const ended = new AbortController();
    const { signal } = ended;
    addEventListener("pointermove", move, { signal });
    addEventListener("pointerup", end, { signal });
    addEventListener("pointercancel", end, { signal });
  });
}
