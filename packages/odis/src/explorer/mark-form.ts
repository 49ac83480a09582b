import { el } from "./dom.js";
import type { Marked } from "./library.js";

/** The same as pointing at a photograph, for those who do not point. */
export function markForm(
  open: (mark: Pick<Marked, "box" | "point">) => void,
  tell: (error: unknown) => void,
): HTMLElement {
  const input = el("input", {
    placeholder: "x,y or x,y,width,height",
    "aria-label": "Point or box, pixels: x,y or x,y,width,height",
    size: 21,
  });
  const submit = (event: Event): void => {
    event.preventDefault();
    const numbers = input.value.split(",").map((part) => Math.round(Number(part || "?")));
    const isWhole = numbers.every(Number.isFinite);
    if (isWhole && numbers.length === 4) open({ box: numbers });
    else if (isWhole && numbers.length === 2) open({ point: numbers });
    else tell(new Error("wanted x,y of a point, or x,y,width,height of a box, in pixels"));
  };
  return el(
    "form",
    { class: "bar", onsubmit: submit },
    input,
    el("button", { type: "submit" }, "Search there"),
  );
}
