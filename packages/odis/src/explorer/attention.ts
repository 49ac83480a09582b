import type { AttentionMaps, OutlinedObject } from "../portable/index.js";
import { el, latest } from "./dom.js";
import type { Library, PhotoFacts } from "./library.js";
import { Photo } from "./photo.js";

/** Attention this many times the mean is drawn hottest. */
const HOT = 4;

/** Where [OBJ] looks, shown once it is opened; undefined where the library does not tell. */
export function attentionPart(
  library: Library,
  { width, height, key }: PhotoFacts,
  object: OutlinedObject,
  tell: (error: unknown) => void,
): HTMLElement | undefined {
  if (!library.attention) return undefined;
  const blocks = el("select", { "aria-label": "Block" });
  const heads = el("div");
  const asked = latest();
  const show = async (): Promise<void> => {
    const isLatest = asked();
    const block = blocks.value === "" ? undefined : Number(blocks.value);
    let maps: AttentionMaps;
    try {
      maps = await library.attention!(object.row, block);
    } catch (error) {
      if (isLatest()) tell(error);
      return;
    }
    if (!isLatest()) return;
    if (blocks.options.length === 0)
      blocks.append(
        ...Array.from({ length: maps.blocks }, (_, block) =>
          el(
            "option",
            { value: block, selected: block === maps.block },
            `block ${block + 1} of ${maps.blocks}`,
          ),
        ),
      );
    const row = (name: string, values: readonly (readonly number[])[]): readonly Node[] => [
      el("p", { class: "note" }, name),
      el("div", { class: "heads" }, ...values.map((one, head) => headFigure(one, head))),
    ];
    const headFigure = (values: readonly number[], head: number): HTMLElement => {
      const { outline, image } = object;
      const photo = new Photo({ src: library.small(image), width, height, alt: key, outline });
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      photo.heat({ ...maps, values }, [0, HOT * mean]);
      return el("figure", {}, photo.element, el("figcaption", {}, `head ${head + 1}`));
    };
    heads.replaceChildren(
      ...row(`${maps.token} with the object’s mask`, maps.masked),
      ...row(`${maps.token} without it`, maps.open),
    );
  };
  const part = el(
    "details",
    {
      ontoggle: () => {
        if (part.open && heads.childElementCount === 0) void show();
      },
    },
    el("summary", {}, "Where the network looks"),
    el("p", { class: "bar" }, blocks),
    heads,
  );
  blocks.addEventListener("change", () => void show());
  return part;
}
