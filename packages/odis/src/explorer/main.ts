import { addressOf, lookedFrom } from "./address.js";
import { Detail } from "./detail.js";
import { byId, el, latest } from "./dom.js";
import { FileLibrary } from "./file-library.js";
import { givePhotos } from "./give-photo.js";
import { Grid } from "./grid.js";
import type { Library, Marked, ObjectRef } from "./library.js";
import { ObjectPlane } from "./plane.js";
import { ServedLibrary } from "./served-library.js";

function say(text: string): void {
  byId("status").textContent = text;
}

/** Says how far something is that takes long; apart, so that it takes no message away. */
function progress(text: string): void {
  byId("progress").textContent = text;
}

/** Says what went wrong, in the library's words. */
function tell(error: unknown): void {
  say(error instanceof Error ? error.message : String(error));
}

function go(hash: string): void {
  location.hash = hash;
}

const count = (value: number): string => value.toLocaleString("en-US");

async function start(): Promise<void> {
  const isOfFiles = document.documentElement.dataset["library"] === "files";
  const library = await (isOfFiles ? FileLibrary.open(progress) : ServedLibrary.open());
  const classes = describe(library);
  const asked = latest();
  /** Goes on with what somebody waits for, unless something else was opened meanwhile. */
  const then = <T>(waiting: Promise<T>, next: (value: T) => void): void => {
    const isLatest = asked();
    waiting.then(
      (value) => isLatest() && next(value),
      (error: unknown) => isLatest() && tell(error),
    );
  };
  const openObject = ({ row, image }: ObjectRef): void => go(`image=${image}&object=${row}`);
  const openMarked = (marked: Marked): void => go(addressOf(marked));
  let isClosing = false;
  const close = (): void => {
    isClosing = true;
    go("");
  };
  const detail = new Detail(library, { openObject, openMarked, close, tell });
  const grid = new Grid(library, openObject, tell);

  const follow = (): void => {
    const wanted = lookedFrom(location.hash);
    asked();
    say("");
    document.querySelector("main")!.classList.toggle("split", wanted !== undefined);
    grid.select(wanted?.object);
    if (wanted) detail.show(wanted).catch(tell);
    else detail.hide();
    if (isClosing) grid.focus(); // it can be focused once it is in sight again
    isClosing = false;
  };
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && lookedFrom(location.hash)) close();
  });
  const showClass = (): void => {
    say("");
    grid.show(classes.value === "" ? {} : { name: classes.value }).catch(tell);
  };
  const map = new ObjectPlane(library, {
    open: (row) => then(library.object(row), openObject),
    choose: (rows) => {
      say(`${count(rows.length)} objects chosen on the map`);
      grid.show({ rows }).catch(tell);
    },
    all: showClass,
    say,
    tell,
  });
  classes.addEventListener("change", () => {
    map.forget();
    showClass();
  });
  byId("map-button").addEventListener("click", () => map.toggle());
  if (library.own) givePhotos((file) => then(library.own!(file), (photo) => openMarked({ photo })));
  await grid.show({});
  follow();
}

/** @returns the choice of classes */
function describe({ facts }: Library): HTMLSelectElement {
  document.title = `${facts.name} – odis explore`;
  byId("name").textContent = facts.name;
  const models = facts.networks.map(({ model }) => model).join(" beside ");
  byId("facts").textContent =
    `${count(facts.objects)} objects in ${count(facts.images)} images; ${models}`;
  const classes = byId<HTMLSelectElement>("class");
  for (const { name, count: many } of facts.classes)
    classes.append(el("option", { value: name }, `${name} (${count(many)})`));
  return classes;
}

start().catch(tell);
