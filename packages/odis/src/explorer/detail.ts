import type { NearList, NearObject, OutlinedObject } from "../portable/index.js";
import { attentionPart } from "./attention.js";
import { byId, el, latest } from "./dom.js";
import type { Library, Marked, ObjectRef, PhotoFacts } from "./library.js";
import { showLikeness } from "./likeness.js";
import { markForm } from "./mark-form.js";
import { Photo } from "./photo.js";
import { pointsAt } from "./pointing.js";

/** How many of the nearest are shown. */
const TOP = 24;
/** Height of a photograph at most, per cent of the window's. */
const HEIGHT = 48;

export interface DetailActions {
  readonly openObject: (object: ObjectRef) => void;
  readonly openMarked: (marked: Marked) => void;
  readonly close: () => void;
  readonly tell: (error: unknown) => void;
}

/** What is looked at: an object of the library in its photograph, or what is marked in one. */
export type Looked = Marked & { readonly object?: number | undefined };

/** What is alike, in its photograph. */
interface ShownHit {
  /** row of its image */
  readonly image: number;
  readonly photo: Photo;
}

/** A thing in its photograph, and what is most like it. */
export class Detail {
  private readonly place = byId("detail");
  private readonly asked = latest();
  private ending: () => void = () => undefined;

  constructor(
    private readonly library: Library,
    private readonly actions: DetailActions,
  ) {}

  hide(): void {
    this.asked();
    this.ending();
    this.place.hidden = true;
    this.place.replaceChildren();
  }

  /** @returns when everything is there, or something else is shown by now, whatever went wrong with this */
  async show(looked: Looked): Promise<void> {
    const isLatest = this.asked();
    try {
      await this.look(looked, isLatest);
    } catch (error) {
      if (isLatest()) throw error;
    } finally {
      if (isLatest()) this.place.removeAttribute("aria-busy");
    }
  }

  private async look(looked: Looked, isLatest: () => boolean): Promise<void> {
    const facts = await this.library.photo(looked.photo);
    if (!isLatest()) return;
    this.ending();
    this.ending = () => undefined;
    const object = facts.objects.find(({ row }) => row === looked.object);
    const photo = this.photo(facts, looked, object);
    const lists = this.library.facts.networks.map(() => el("ol", { class: "near" }));
    const tools = el("div", { class: "bar" });
    this.place.replaceChildren(
      this.title(facts, looked, object),
      photo.element,
      tools,
      el("p", { class: "note" }, this.hint(facts)),
      el("div", { class: "lists" }, ...lists.map((list, at) => this.titled(list, at))),
    );
    this.place.hidden = false;
    this.place.scrollTop = 0;
    this.place.setAttribute("aria-busy", "true");
    // Before anything is found: who asked for a place outside of the photograph corrects it here.
    if (this.library.canLook) tools.append(this.markForm(looked));
    const attention = object && attentionPart(this.library, facts, object, this.actions.tell);
    if (attention) this.place.append(attention);
    const { photo: of, box, point } = looked;
    const query = object ? { object: object.row } : { photo: of, box, point };
    const found = await Promise.all(
      lists.map((_, network) => this.library.near(query, TOP, network)),
    );
    if (!isLatest()) return;
    const hits = found.flatMap((list, at) => this.fill(lists[at]!, list));
    // Of two guesses at the thing at a point, the first network's is marked.
    if (found[0]!.outline !== null) photo.outline(found[0]!.outline);
    if (this.library.patches) tools.prepend(this.likenessButton(looked, photo, hits));
  }

  /** A list below its title, which says whose it is where there are several. */
  private titled(list: HTMLElement, network: number): HTMLElement {
    const { networks } = this.library.facts;
    const { name, model } = networks[network]!;
    const isOne = networks.length === 1;
    const title = isOne ? "Most alike" : `Most alike by ${name}`;
    list.setAttribute("aria-label", title);
    const note = isOne ? [] : [el("p", { class: "note" }, model)];
    return el("div", {}, el("h3", {}, title), ...note, list);
  }

  private fill(list: HTMLElement, { hits }: NearList): readonly ShownHit[] {
    const shown = hits.map(({ image, width, height, outline, key }) => {
      const src = this.library.small(image);
      return { image, photo: new Photo({ src, width, height, outline, alt: key }) };
    });
    list.replaceChildren(
      ...hits.map((hit, at) => el("li", {}, this.nearButton(hit, shown[at]!.photo))),
    );
    return shown;
  }

  private photo(facts: PhotoFacts, looked: Looked, object: OutlinedObject | undefined): Photo {
    const { width, height, key, src, objects } = facts;
    const photo = new Photo({
      src,
      width,
      height,
      alt: key,
      outline: object?.outline,
      box: looked.box,
      point: looked.point,
      // Small ones on top, so that what lies within others can be chosen.
      others: objects
        .filter((other) => other !== object)
        .toSorted((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3]),
      onChoose: this.actions.openObject,
    });
    // Part of what is alike stays in sight below it.
    photo.element.style.maxWidth = `${(HEIGHT * width) / height}vh`;
    if (this.library.canLook)
      pointsAt(photo, {
        box: (box) => this.actions.openMarked({ photo: looked.photo, box }),
        point: (point) => this.actions.openMarked({ photo: looked.photo, point }),
      });
    return photo;
  }

  private hint({ objects }: PhotoFacts): string {
    const others = "dashed boxes are its other objects";
    if (!this.library.canLook) return `In the photograph, ${others}.`;
    const mark =
      "Drag a box round a thing in the photograph, or click on it, to find the like of it";
    const inside = "hold Shift or Alt to click on a point inside of one";
    return objects.length > 0 ? `${mark}; ${others}: ${inside}.` : `${mark}.`;
  }

  private title({ key }: PhotoFacts, looked: Looked, object: OutlinedObject | undefined) {
    const whole = "own" in looked.photo ? "your photograph" : "all of it";
    const marked = looked.box ? "a box" : looked.point ? "a thing at a point" : whole;
    const name = object ? (object.class ?? "no class") : marked;
    const sure = object?.score ?? null;
    const score = sure === null ? "" : `, score ${sure.toFixed(2)}`;
    return el(
      "div",
      { class: "title" },
      el("div", {}, el("h2", { tabindex: -1 }, name), el("p", { class: "note" }, `${key}${score}`)),
      el("button", { type: "button", onclick: this.actions.close }, "Close"),
    );
  }

  private nearButton(hit: NearObject, photo: Photo): HTMLElement {
    return el(
      "button",
      { type: "button", onclick: () => this.actions.openObject(hit), "data-row": hit.row },
      photo.element,
      el("span", {}, el("b", {}, hit.similarity.toFixed(3)), ` ${hit.class ?? "no class"}`),
      el("span", { class: "note" }, hit.key),
    );
  }

  private markForm(looked: Looked): HTMLElement {
    const { openMarked, tell } = this.actions;
    return markForm(looked, (mark) => openMarked({ photo: looked.photo, ...mark }), tell);
  }

  private likenessButton(
    { photo: of }: Looked,
    photo: Photo,
    others: readonly ShownHit[],
  ): HTMLElement {
    let end: (() => void) | undefined;
    this.ending = () => end?.();
    const press = (): void => {
      if (end) end();
      end = end ? undefined : showLikeness(this.library, { of, photo }, others, this.actions.tell);
      button.setAttribute("aria-pressed", String(end !== undefined));
    };
    const button = el(
      "button",
      { type: "button", "aria-pressed": "false", onclick: press },
      "Patch likeness",
    );
    return button;
  }
}
