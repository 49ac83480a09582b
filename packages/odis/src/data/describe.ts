import { counted, grouped, plain } from "../core/index.js";
import type { PackedIndex } from "./packed-index.js";
import { listedObjects } from "./survey.js";
import type { DataSource, DataSpec, OpenSource, ReadMemory } from "./dataset.js";

/** A data set with what people should know of it before they train. */
export function describeSource(
  source: DataSource,
  spec: DataSpec,
  index?: PackedIndex,
): OpenSource {
  const images = counted(source.size, "image");
  const classes =
    source.classes.length > 0 ? `, ${counted(source.classes.length, "class", "classes")}` : "";
  // A source may be an instance of a class, so its methods keep their `this`.
  const { picture, file, order } = source;
  const base = {
    size: source.size,
    classes: source.classes,
    key: (image: number) => source.key(image),
    read: (image: number, memory?: ReadMemory) => source.read(image, memory),
    ...(picture ? { picture } : {}),
    ...(file ? { file } : {}),
    ...(order ? { order } : {}),
    spec,
  };
  if (!index)
    return {
      ...base,
      summary: `${spec.kind}: ${images}${classes}`,
      notes: [],
    };
  const isListed = !index.maps?.unlisted && !index.archives;
  const objects = isListed
    ? counted(index.ids.length, "object")
    : `objects in ${index.maps ? "label maps" : "the archives"}`;
  return {
    ...base,
    summary: `${index.reader}: ${images}, ${index.ids.length === 0 && isListed ? "no objects" : objects}${classes}`,
    notes: [...notesOf(index, isListed)],
    ...(isListed ? { listed: (image: number) => listedObjects(index, image) } : {}),
  };
}

/** A note that some images have no object: untrue as soon as they get others. */
export const tellsOfBare = (note: string): boolean => / ha(?:s an|ve no) object$/.test(note);

function* notesOf(index: PackedIndex, isListed: boolean): Generator<string> {
  const { size, leftOut, repeated, remarks, objectEnds } = index;
  if (leftOut.length > 0)
    yield `left out: ${leftOut.map(({ count, one, many }) => counted(count, one, many)).join(", ")}`;
  const bare = objectEnds.reduce(
    (sum, end, image) => sum + Number(end === (image === 0 ? 0 : objectEnds[image - 1])),
    0,
  );
  if (isListed && bare === size) yield `none of the ${counted(size, "image")} has an object`;
  else if (isListed && 2 * bare > size)
    yield `${grouped(bare)} of ${counted(size, "image")} have no object`;
  if (repeated.count > 0) {
    const some =
      repeated.names.map(plain).join(", ") + (repeated.count > repeated.names.length ? ", …" : "");
    yield `${counted(repeated.count, "picture")} stand${repeated.count === 1 ? "s" : ""} in the list more than once (${some})`;
  }
  yield* remarks;
}
