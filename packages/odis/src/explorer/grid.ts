import type { ObjectFacts } from "../portable/index.js";
import { byId, el, latest } from "./dom.js";
import type { Library, Listed, ObjectRef } from "./library.js";

/** Sides of a cell with its label, pixels; how many are asked for at once; lists that are kept. */
const [WIDTH, LABEL, PAGE, PAGES] = [112, 26, 120, 60];
/** Cells above and below what is seen. */
const SPARE = 2;
/** How long a cell is in sight before it is filled, milliseconds. */
const RESTING = 60;

/** What of a library is shown: a class, or some rows; without them, everything. */
export interface Shown {
  readonly name?: string;
  readonly rows?: readonly number[];
}

/** All objects, of which only those in sight exist as elements. */
export class Grid {
  private readonly grid = byId("grid");
  private readonly room = el("div");
  private readonly cells = new Map<number, HTMLElement>();
  private readonly pages = new Map<number, Promise<readonly ObjectFacts[]>>();
  private total = 0;
  private columns = 1;
  private side = WIDTH;
  private active = 0;
  private selected: number | undefined;
  private shown: Shown = {};
  private readonly asked = latest();

  /** @param open told of the object that somebody chose */
  constructor(
    private readonly library: Library,
    private readonly open: (object: ObjectRef) => void,
    private readonly tell: (error: unknown) => void,
  ) {
    this.grid.append(this.room);
    this.grid.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), {
      passive: true,
    });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("click", ({ target }) => {
      const cell = target instanceof Element ? target.closest<HTMLElement>(".cell") : null;
      if (cell) this.choose(Number(cell.dataset["at"])).catch(this.tell);
    });
    new ResizeObserver(() => this.lay()).observe(this.grid);
  }

  /** Shows all of them, those of a class, or some. */
  async show(shown: Shown): Promise<void> {
    const isLatest = this.asked();
    const total = shown.rows?.length ?? (await this.count(shown.name));
    if (!isLatest()) return;
    this.shown = shown;
    this.total = total;
    this.pages.clear();
    this.active = 0;
    this.clear();
    this.grid.scrollTop = 0;
    this.lay();
  }

  /** Marks an object as the one that is shown. */
  select(row: number | undefined): void {
    this.selected = row;
    for (const cell of this.cells.values()) this.mark(cell);
  }

  focus(): void {
    this.grid.focus();
  }

  private async count(name: string | undefined): Promise<number> {
    return (await this.library.objects({ from: 0, count: 1, class: name })).total;
  }

  private listed(page: number): Listed {
    const { name, rows } = this.shown;
    const from = page * PAGE;
    if (rows) return { rows: rows.slice(from, from + PAGE) };
    return { from, count: PAGE, class: name };
  }

  private lay(): void {
    const { clientWidth } = this.grid;
    if (clientWidth === 0) return;
    this.columns = Math.max(2, Math.floor(clientWidth / WIDTH));
    this.side = Math.floor(clientWidth / this.columns);
    this.room.style.height = `${Math.ceil(this.total / this.columns) * this.height}px`;
    this.clear();
    this.draw();
  }

  private get height(): number {
    return this.side + LABEL;
  }

  private clear(): void {
    for (const cell of this.cells.values()) drop(cell);
    this.cells.clear();
  }

  private draw(): void {
    const { scrollTop, clientHeight } = this.grid;
    const first = Math.max(0, Math.floor(scrollTop / this.height) - SPARE) * this.columns;
    const rows = Math.ceil(clientHeight / this.height) + 2 * SPARE + 1;
    const end = Math.min(this.total, first + rows * this.columns);
    for (const [at, cell] of this.cells)
      if (at < first || at >= end) {
        drop(cell);
        this.cells.delete(at);
      }
    const made: HTMLElement[] = [];
    for (let at = first; at < end; at += 1) if (!this.cells.has(at)) made.push(this.make(at));
    this.room.append(...made);
    this.setActive();
  }

  private make(at: number): HTMLElement {
    const cell = el("div", {
      class: "cell",
      role: "option",
      id: `cell-${at}`,
      "data-at": at,
      "aria-setsize": this.total,
      "aria-posinset": at + 1,
      "aria-label": `object ${at + 1}`, // until it is known what it is
    });
    cell.style.width = `${this.side}px`;
    cell.style.height = `${this.height}px`;
    cell.style.transform = `translate(${(at % this.columns) * this.side}px, ${Math.floor(at / this.columns) * this.height}px)`;
    this.cells.set(at, cell);
    // What is only scrolled past is not asked for.
    setTimeout(() => {
      if (this.cells.get(at) === cell) this.fill(at, cell).catch(this.tell);
    }, RESTING);
    return cell;
  }

  private async fill(at: number, cell: HTMLElement): Promise<void> {
    const object = (await this.page(Math.floor(at / PAGE)))[at % PAGE];
    if (!object || this.cells.get(at) !== cell) return; // it was scrolled past
    const name = object.class ?? "no class";
    cell.dataset["row"] = String(object.row);
    const picture = el("img", { src: this.library.crop(object.row), alt: "", decoding: "async" });
    cell.append(picture, el("span", {}, name));
    cell.title = `${name}, ${object.key}`;
    cell.setAttribute("aria-label", `${name} in ${object.key}`);
    this.mark(cell);
  }

  private page(page: number): Promise<readonly ObjectFacts[]> {
    const known = this.pages.get(page);
    if (known) return known;
    if (this.pages.size >= PAGES) this.pages.delete(this.pages.keys().next().value!);
    const asked = this.library.objects(this.listed(page)).then(({ objects }) => objects);
    this.pages.set(page, asked);
    asked.catch(() => this.pages.delete(page));
    return asked;
  }

  private mark(cell: HTMLElement): void {
    const is = this.selected !== undefined && cell.dataset["row"] === String(this.selected);
    cell.setAttribute("aria-selected", String(is));
  }

  private setActive(): void {
    for (const [at, cell] of this.cells) cell.classList.toggle("active", at === this.active);
    if (this.cells.has(this.active))
      this.grid.setAttribute("aria-activedescendant", `cell-${this.active}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  /** Opens an object, as soon as it is known if its cell is not filled yet. */
  private async choose(at: number): Promise<void> {
    this.active = at;
    this.setActive();
    const { shown } = this;
    const object = (await this.page(Math.floor(at / PAGE)))[at % PAGE];
    if (object && this.active === at && this.shown === shown) this.open(object);
  }

  private key(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.grid.clientHeight / this.height)) * this.columns;
    const steps: Readonly<Record<string, number>> = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      PageDown: page,
      PageUp: -page,
      Home: -this.total,
      End: this.total,
    };
    if (event.key === "Enter" || event.key === " ") this.choose(this.active).catch(this.tell);
    else if (steps[event.key] !== undefined) this.move(steps[event.key]!);
    else return;
    event.preventDefault();
  }

  private move(by: number): void {
    this.active = Math.max(0, Math.min(this.total - 1, this.active + by));
    const top = Math.floor(this.active / this.columns) * this.height;
    const { scrollTop, clientHeight } = this.grid;
    if (top < scrollTop) this.grid.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight)
      this.grid.scrollTop = top + this.height - clientHeight;
    this.draw();
  }
}

/** Takes a cell away, and with it what its picture still waits for. */
function drop(cell: HTMLElement): void {
  cell.querySelector("img")?.removeAttribute("src");
  cell.remove();
}
