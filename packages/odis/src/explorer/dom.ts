/** What an element is made with: attributes, texts for `text`, listeners for `on…`. */
type Properties = Readonly<Record<string, string | number | boolean | EventListener | null>>;

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. Texts become text, never markup. */
export function el<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Properties = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  fill(made, properties, children);
  return made;
}

/** Makes an element of a drawing, as `el` makes one of the page. */
export function svg<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  properties: Properties = {},
  ...children: readonly Node[]
): SVGElementTagNameMap[Name] {
  const made = document.createElementNS(SVG, name);
  fill(made, properties, children);
  return made;
}

function fill(made: Element, properties: Properties, children: readonly (Node | string)[]): void {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
}

/** An element of the page itself. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.querySelector<T>(`#${id}`);
  if (!found) throw new Error(`internal: the page has no #${id}`);
  return found;
}

/**
 * Of several questions only the last one counts: answers come in any order.
 *
 * @returns begins a question, and gives what tells whether it is still the last one
 */
export function latest(): () => () => boolean {
  let last = 0;
  return () => {
    last += 1;
    const mine = last;
    return () => mine === last;
  };
}

/** Gives a canvas as many pixels as the screen has there. */
export function fit(canvas: HTMLCanvasElement): void {
  const width = Math.round(canvas.clientWidth * devicePixelRatio);
  const height = Math.round(canvas.clientHeight * devicePixelRatio);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
}
