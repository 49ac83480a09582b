import { posix, resolve } from "node:path";
import { DataError, plain } from "../../core/index.js";
import { ClassNames } from "../classes.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { PackedIndex } from "../packed-index.js";
import { otherPictures, Place } from "../place.js";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { onePlace } from "./places.js";

/** Pictures in a folder and the folders below it. */
export const folder: Reader = {
  ...onePlace("folder"),
  places: "FOLDER",
  about: "pictures in a folder and the folders below it; no objects",
  isFallback: true,
  detect(look) {
    const found = look.picturesBelow();
    return found === 0 ? undefined : { place: look.place, because: "pictures" };
  },
  async open(spec) {
    const { builder, files, others } = await listed(spec, folder.kind);
    for (const file of files) builder.image(file);
    const annotated = [".json", ".jsonl", ".xml", ".csv", ".txt", ".npy", ".mat"].filter((ending) =>
      others.has(ending),
    );
    if (annotated.length > 0)
      builder.remark(
        `other files lie there and are not read: ${annotated.map((ending) => `${others.get(ending)} *${ending}`).join(", ")}`,
      );
    const folders = new Set(files.map((file) => posix.dirname(file)));
    const nested = [...folders].every((name) => name !== "." && !name.includes("/"));
    if (nested && folders.size > 1)
      builder.remark(
        `pictures lie in ${folders.size} folders; if these are classes, say classes:PLACE to have labels`,
      );
    return builder.finish([]);
  },
};

/** Pictures in folders named after what they show. */
export const classes: Reader = {
  ...onePlace("classes"),
  places: "FOLDER",
  about: "FOLDER/CLASS/…/PICTURE: every picture is one object as a whole, labelled by its folder",
  detect: () => undefined, // folders may be anything; whoever knows says so
  async open(spec): Promise<PackedIndex> {
    const { builder, files } = await listed(spec, classes.kind);
    const names = new ClassNames();
    for (const file of files) {
      const image = builder.image(file);
      const [name, ...inner] = file.split("/");
      const label = inner.length === 0 ? -1 : names.label(name!);
      builder.object(image, { id: 0, label, shape: { form: "whole", parts: [] } });
    }
    const { names: sorted, labels } = names.sorted();
    if (sorted.length === 0)
      throw new DataError(
        `${plain(textOf(spec, "place"))}: its pictures lie in no folders; wanted FOLDER/CLASS/PICTURE`,
      );
    builder.relabel(labels);
    return builder.finish(sorted);
  },
};

async function listed(
  spec: DataSpec,
  reader: string,
): Promise<{
  readonly builder: IndexBuilder;
  readonly files: readonly string[];
  /** how many other files there are, by ending */
  readonly others: ReadonlyMap<string, number>;
}> {
  const root = resolve(textOf(spec, "place"));
  const builder = new IndexBuilder({ reader, root });
  const place = new Place(root, "image folder", spec.outside === true);
  const others = new Map<string, number>();
  const files = await place.walk(undefined, (ending) => {
    if (otherPictures.has(ending))
      builder.leave(`picture named *${ending}`, `pictures named *${ending}`);
    others.set(ending, (others.get(ending) ?? 0) + 1);
  });
  if (files.length === 0)
    throw new DataError(`image folder ${plain(root)}: there is no picture in it`);
  return { builder, files, others };
}
