import { el } from "./dom.js";
import type { Marked } from "./library.js";
import { wholeNumbers } from "./whole-numbers.js";

/**
 * The same as pointing at a photograph, for those who do not point.
 *
 * @param marked what is marked already, to be corrected
 */
export function markForm(
  marked: Pick<Marked, "box" | "point">,
  open: (mark: Pick<Marked, "box" | "point">) => void,
  tell: (error: unknown) => void,
): HTMLElement {
  const input = el("input", {
    placeholder: "x,y or x,y,width,height",
    "aria-label": "Point or box, pixels: x,y or x,y,width,height",
    size: 21,
    value: (marked.box ?? marked.point ?? []).join(","),
  });
  const submit = (event: Event): void => {
    event.preventDefault();
    const [box, point] = [wholeNumbers(input.value, 4), wholeNumbers(input.value, 2)];
    if (box) open({ box });
    else if (point) open({ point });
    else tell(new Error("wanted x,y of a point, or x,y,width,height of a box, in whole pixels"));
  };
  return el(
    "form",
    { class: "bar", onsubmit: submit },
    input,
    el("button", { type: "submit" }, "Search there"),
  );
}
