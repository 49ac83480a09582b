import type { ImageFacts, NearObject, OutlinedObject } from "../src/explore/wire.js";
import { ask, type Pictures } from "./api.js";
import { attentionPart } from "./attention.js";
import { byId, el } from "./dom.js";
import { drawsBoxes } from "./draw-box.js";
import { showLikeness } from "./likeness.js";
import { Photo } from "./photo.js";

/** How many of the nearest are shown. */
const TOP = 24;
/** Height of a photograph at most, per cent of the window's. */
const HEIGHT = 48;

export interface DetailActions {
  readonly openObject: (row: number) => void;
  readonly openBox: (image: number, box: readonly number[]) => void;
  readonly close: () => void;
  readonly tell: (error: unknown) => void;
}

/** What is looked at: an object of the store, or a box on one of its photographs. */
export type Looked =
  | { readonly image: number; readonly object: number }
  | { readonly image: number; readonly box: readonly number[] };

/** An object in its photograph, and what is most like it. */
export class Detail {
  private readonly place = byId("detail");
  private shown = 0;
  private ending: () => void = () => undefined;

  constructor(
    private readonly pictures: Pictures,
    private readonly actions: DetailActions,
  ) {}

  hide(): void {
    this.shown += 1;
    this.ending();
    this.place.hidden = true;
    this.place.replaceChildren();
  }

  /** @returns when everything is there, or something else is shown by now */
  async show(looked: Looked): Promise<void> {
    this.shown += 1;
    const mine = this.shown;
    const image = await ask("image", { row: looked.image });
    if (mine !== this.shown) return;
    this.ending();
    this.ending = () => undefined;
    const object =
      "object" in looked ? image.objects.find(({ row }) => row === looked.object) : undefined;
    const photo = this.photo(image, object, "box" in looked ? looked.box : undefined);
    const near = el("ol", { class: "near", "aria-label": "Most alike" });
    const toggle = el(
      "button",
      { type: "button", "aria-pressed": "false", disabled: true },
      "Patch likeness",
    );
    this.place.replaceChildren(
      this.title(image, object),
      photo.element,
      el("div", { class: "bar" }, toggle, this.boxForm(image)),
      el(
        "p",
        { class: "note" },
        "Drag on the photograph to search for what is in a box; dashed boxes are its other objects.",
      ),
      el("h3", {}, "Most alike"),
      near,
      ...(object ? [attentionPart(this.pictures, image, object, this.actions.tell)] : []),
    );
    this.place.hidden = false;
    this.place.scrollTop = 0;
    this.place.setAttribute("aria-busy", "true");
    const question = object
      ? { object: object.row }
      : { image: image.row, box: "box" in looked ? looked.box.join(",") : "" };
    const { hits } = await ask("near", { ...question, top: TOP });
    if (mine !== this.shown) return;
    const photos = hits.map((hit) => this.nearPhoto(hit));
    near.replaceChildren(...hits.map((hit, at) => el("li", {}, this.nearButton(hit, photos[at]!))));
    this.place.removeAttribute("aria-busy");
    this.likeness(
      toggle,
      photo,
      image.row,
      hits.map((hit, at) => ({ image: hit.image, photo: photos[at]! })),
    );
  }

  private photo(
    image: ImageFacts,
    object: OutlinedObject | undefined,
    box?: readonly number[],
  ): Photo {
    const photo = new Photo({
      src: this.pictures.photo(image.row),
      width: image.width,
      height: image.height,
      alt: image.key,
      outline: object?.outline,
      box,
      // Small ones on top, so that what lies within others can be chosen.
      others: image.objects
        .filter((other) => other !== object)
        .toSorted((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]),
      onChoose: this.actions.openObject,
    });
    // Part of what is alike stays in sight below it.
    photo.element.style.maxWidth = `${(HEIGHT * image.width) / image.height}vh`;
    drawsBoxes(photo, (drawn) => this.actions.openBox(image.row, drawn));
    return photo;
  }

  private title(image: ImageFacts, object: OutlinedObject | undefined): HTMLElement {
    const name = object ? (object.class ?? "no class") : "a box";
    const sure = object?.score ?? null;
    const score = sure === null ? "" : `, score ${sure.toFixed(2)}`;
    return el(
      "div",
      { class: "title" },
      el(
        "div",
        {},
        el("h2", { tabindex: -1 }, name),
        el("p", { class: "note" }, `${image.key}${score}`),
      ),
      el("button", { type: "button", onclick: this.actions.close, "aria-label": "Close" }, "Close"),
    );
  }

  /** The same as drawing, for those who do not point. */
  private boxForm(image: ImageFacts): HTMLElement {
    const input = el("input", {
      placeholder: "x,y,width,height",
      "aria-label": "Box, pixels: x,y,width,height",
      size: 18,
    });
    return el(
      "form",
      {
        class: "bar",
        onsubmit: (event) => {
          event.preventDefault();
          const box = input.value.split(",").map(Number);
          if (box.length === 4 && box.every(Number.isFinite)) this.actions.openBox(image.row, box);
          else this.actions.tell(new Error("box: wanted x,y,width,height in pixels"));
        },
      },
      input,
      el("button", { type: "submit" }, "Search box"),
    );
  }

  private nearPhoto({ image, width, height, outline, key }: NearObject): Photo {
    return new Photo({ src: this.pictures.small(image), width, height, outline, alt: key });
  }

  private nearButton(hit: NearObject, photo: Photo): HTMLElement {
    return el(
      "button",
      { type: "button", onclick: () => this.actions.openObject(hit.row), "data-row": hit.row },
      photo.element,
      el("span", {}, el("b", {}, hit.similarity.toFixed(3)), ` ${hit.class ?? "no class"}`),
      el("span", { class: "note" }, hit.key),
    );
  }

  private likeness(
    toggle: HTMLButtonElement,
    photo: Photo,
    image: number,
    others: readonly { readonly image: number; readonly photo: Photo }[],
  ): void {
    toggle.disabled = false;
    let end: (() => void) | undefined;
    this.ending = () => end?.();
    toggle.addEventListener("click", () => {
      const on = end === undefined;
      toggle.setAttribute("aria-pressed", String(on));
      if (on) end = showLikeness(photo, image, others, this.actions.tell);
      else {
        end?.();
        end = undefined;
      }
    });
  }
}
