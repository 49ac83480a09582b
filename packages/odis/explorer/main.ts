import { ask, Pictures } from "./api.js";
import { Detail, type Looked } from "./detail.js";
import { byId, el } from "./dom.js";
import { Grid } from "./grid.js";
import { ObjectPlane } from "./plane.js";

/** Says what went wrong, in the server's words. */
function tell(error: unknown): void {
  byId("status").textContent = error instanceof Error ? error.message : String(error);
}

/** What the address asks for: `#image=3&object=12`, `#image=3&box=1,2,3,4`. */
function looked(): Looked | undefined {
  const words = new URLSearchParams(location.hash.slice(1));
  const number = (name: string): number | undefined => {
    const text = words.get(name);
    return text !== null && /^\d+$/.test(text) ? Number(text) : undefined;
  };
  const [image, object] = [number("image"), number("object")];
  if (image === undefined) return undefined;
  if (object !== undefined) return { image, object };
  const box = (words.get("box") ?? "").split(",").map(Number);
  return box.length === 4 && box.every(Number.isFinite) ? { image, box } : undefined;
}

async function start(): Promise<void> {
  const facts = await ask("store");
  document.title = `${facts.name} – odis explore`;
  byId("name").textContent = facts.name;
  const count = (value: number): string => value.toLocaleString("en-US");
  byId("facts").textContent =
    `${count(facts.objects)} objects in ${count(facts.images)} images; ${facts.model}`;
  const classes = byId<HTMLSelectElement>("class");
  for (const { name, count: many } of facts.classes)
    classes.append(el("option", { value: name }, `${name} (${count(many)})`));

  const pictures = new Pictures(facts.version);
  const go = (hash: string): void => {
    location.hash = hash;
  };
  const openObject = (row: number): void => {
    ask("objects", { from: row, count: 1 })
      .then(({ objects }) => go(`image=${objects[0]!.image}&object=${row}`))
      .catch(tell);
  };
  let isClosing = false;
  const close = (): void => {
    isClosing = true;
    go("");
  };
  const detail = new Detail(pictures, {
    openObject,
    openBox: (image, box) => go(`image=${image}&box=${box.join(",")}`),
    close,
    tell,
  });
  const grid = new Grid(pictures, openObject, tell);

  const follow = (): void => {
    const wanted = looked();
    byId("status").textContent = "";
    document.querySelector("main")!.classList.toggle("split", wanted !== undefined);
    grid.select(wanted && "object" in wanted ? wanted.object : undefined);
    if (wanted) detail.show(wanted).catch(tell);
    else detail.hide();
    if (isClosing) grid.focus(); // it can be focused once it is in sight again
    isClosing = false;
  };
  addEventListener("hashchange", follow);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && looked()) close();
  });
  const showClass = (): void => {
    grid.show(classes.value === "" ? {} : { name: classes.value }).catch(tell);
  };
  classes.addEventListener("change", showClass);
  const map = new ObjectPlane(facts.classes, {
    open: openObject,
    choose: (rows) => {
      byId("status").textContent = `${count(rows.length)} objects chosen on the map`;
      grid.show({ rows }).catch(tell);
    },
    all: showClass,
    tell,
  });
  byId("map-button").addEventListener("click", () => map.toggle());
  await grid.show({});
  follow();
}

start().catch(tell);
