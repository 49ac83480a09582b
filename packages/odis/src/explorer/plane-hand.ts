import type { Point } from "./plane-view.js";

/** What hands and keys do to the map; places and lengths are pixels of it. */
export interface PlaneHands {
  /** whether a drag draws round points, and does not move the map */
  readonly draws: () => boolean;
  /** told of every use, by keys or by a pointer */
  readonly used: (isByKeys: boolean) => void;
  readonly move: (dx: number, dy: number) => void;
  readonly enlarge: (factor: number, at?: Point) => void;
  readonly whole: () => void;
  /** the line so far, and whether it is finished; empty when it was given up */
  readonly line: (line: readonly Point[], isFinished: boolean) => void;
  /** over a place, or over none any more */
  readonly over: (at: Point | undefined) => void;
  /** without a place: what is in the middle */
  readonly open: (at?: Point) => void;
  readonly all: () => void;
}

/** Pixels: what is still a click, a step by an arrow key, a line of a wheel. */
const [CLICK, STEP, LINE] = [5, 40, 16];
/** Enlarged by a key, and by a pixel of the wheel. */
const [BY_KEY, BY_PIXEL] = [1.5, 0.0015];

/**
 * Listens to pointers, wheel and keys on the map; of several fingers, to the first one.
 *
 * @param canvas its pixels are those of the hands
 */
export function listenTo(canvas: HTMLElement, hands: PlaneHands): void {
  const at = ({ offsetX, offsetY }: MouseEvent): Point => [offsetX, offsetY];
  canvas.addEventListener("pointerdown", (event) => {
    hands.used(false);
    if (event.isPrimary && event.button === 0) drag(canvas, event, hands);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons === 0) hands.over(at(event));
  });
  canvas.addEventListener("pointerleave", () => hands.over(undefined));
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE : 1);
      hands.enlarge(Math.exp(-pixels * BY_PIXEL), at(event));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const does = meaning(event.key, hands);
    if (!does) return;
    hands.used(true);
    does();
    event.preventDefault();
    event.stopPropagation();
  });
}

/** @returns what a key does here */
function meaning(key: string, hands: PlaneHands): (() => void) | undefined {
  const keys: Readonly<Record<string, () => void>> = {
    ArrowLeft: () => hands.move(STEP, 0),
    ArrowRight: () => hands.move(-STEP, 0),
    ArrowUp: () => hands.move(0, STEP),
    ArrowDown: () => hands.move(0, -STEP),
    "+": () => hands.enlarge(BY_KEY),
    "=": () => hands.enlarge(BY_KEY),
    "-": () => hands.enlarge(1 / BY_KEY),
    "0": hands.whole,
    Enter: () => hands.open(),
    Escape: hands.all,
  };
  return Object.hasOwn(keys, key) ? keys[key] : undefined;
}

/** Follows a pointer from where it went down: it clicks, moves the map, or draws a line. */
function drag(canvas: HTMLElement, down: PointerEvent, hands: PlaneHands): void {
  canvas.setPointerCapture(down.pointerId);
  const draws = hands.draws() || down.shiftKey;
  const start: Point = [down.offsetX, down.offsetY];
  const line: Point[] = [start];
  let isClick = true;
  const ended = new AbortController();
  const move = ({ pointerId, offsetX, offsetY }: PointerEvent): void => {
    if (pointerId !== down.pointerId) return;
    const [x, y] = line.at(-1)!;
    if (isClick && Math.hypot(offsetX - start[0], offsetY - start[1]) < CLICK) return;
    isClick = false;
    line.push([offsetX, offsetY]);
    if (draws) hands.line(line, false);
    else hands.move(offsetX - x, offsetY - y);
  };
  const end = ({ pointerId, type }: PointerEvent): void => {
    if (pointerId !== down.pointerId) return;
    ended.abort();
    if (type === "pointercancel") hands.line([], false);
    else if (isClick) hands.open(start);
    else if (draws) hands.line(line, true);
  };
  const { signal } = ended;
  canvas.addEventListener("pointermove", move, { signal });
  canvas.addEventListener("pointerup", end, { signal });
  canvas.addEventListener("pointercancel", end, { signal });
}
