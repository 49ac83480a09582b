import { resolve } from "node:path";
import {
  BadImageError,
  DataError,
  FileProblem,
  isRecord,
  openRegular,
  parseJson,
  plain,
  readRange,
  show,
} from "../core/index.js";
import {
  type Frame,
  objectFromBox,
  objectFromRuns,
  objectsFromLabelMap,
  parseRle,
  objectFromPolygons,
  type SceneObject,
} from "../objects/index.js";
import { type Archives, archiveOrder, locate } from "./archive.js";
import type { DataSource, EpochOrder, ReadMemory, Sample } from "./dataset.js";
import { decodeImage, LARGEST_FILE } from "./decode.js";
import { decodeLabelMap } from "./label-map.js";
import type { PackedIndex } from "./packed-index.js";
import { endingOf, pictureEndings } from "./place.js";
import { identityOf } from "./picture.js";
import { walkTar } from "./tar.js";

/** `key.ending` of WebDataset: the key ends at the first dot of the file's name. */
export function splitMember(name: string): readonly [key: string, ending: string] {
  const slash = name.lastIndexOf("/") + 1;
  const dot = name.indexOf(".", slash);
  return dot < 0 ? [name, ""] : [name.slice(0, dot), name.slice(dot + 1).toLowerCase()];
}

const MAP = /^(?:.*\.)?(?:seg|segm|mask|masks|segmentation|panoptic|labels)\.png$/;

/** What a member is to its sample. */
export function roleOf(ending: string): "picture" | "map" | "class" | "objects" | undefined {
  if (MAP.test(ending)) return "map";
  if (pictureEndings.has(endingOf(`.${ending}`)) || pictureEndings.has(`.${ending}`))
    return "picture";
  if (ending === "cls" || ending === "cls.txt") return "class";
  return ending === "json" ? "objects" : undefined;
}

/** A data set in tar files; touches the disk only to read samples. */
export function archiveSource(
  index: PackedIndex,
  archives: Archives,
): DataSource & {
  order(seed: number, epoch: number): EpochOrder;
} {
  const key = (sample: number) => {
    const { path, place } = locate(archives, sample);
    return `${path}#${place}`;
  };
  return {
    size: archives.size,
    classes: index.classes,
    key,
    read: (sample, memory) => readSample(index, archives, sample, key(sample), memory),
    picture: async (sample) =>
      identityOf((await readMembers(index, archives, sample, key(sample))).picture.bytes),
    file: async (sample) => (await readMembers(index, archives, sample, key(sample))).picture.bytes,
    order: (seed, epoch) => archiveOrder(archives, seed, epoch),
  };
}

interface Named {
  readonly name: string;
  readonly bytes: Buffer;
}

interface Members {
  readonly picture: Named;
  readonly map?: Named;
  readonly class?: Named;
  readonly objects?: Named;
}

async function readMembers(
  { root }: PackedIndex,
  archives: Archives,
  sample: number,
  key: string,
  memory?: ReadMemory,
): Promise<Members> {
  const { path, from, length } = locate(archives, sample);
  try {
    if (length > LARGEST_FILE) throw new FileProblem(`has a sample of ${length} bytes`);
    const { file } = await openRegular(resolve(root, path));
    let bytes: Buffer;
    try {
      bytes = await readRange(file, from, length, memory?.file);
    } finally {
      await file.close();
    }
    const members: { -readonly [Role in keyof Members]?: Members[Role] } = {};
    for (const member of walkTar(length, (at, size) => bytes.subarray(at, at + size))) {
      const [, ending] = splitMember(member.name);
      const role = roleOf(ending);
      const contents = bytes.subarray(member.from, member.from + member.size);
      if (role) members[role] ??= { name: member.name, bytes: contents };
    }
    const { picture } = members;
    if (!picture) throw new FileProblem("holds no picture there");
    return { ...members, picture };
  } catch (cause) {
    if (!(cause instanceof FileProblem)) throw cause;
    const reason = `the archive ${path} ${cause.message}; if it was changed, start again`;
    throw new BadImageError(key, reason, { cause });
  }
}

async function readSample(
  index: PackedIndex,
  archives: Archives,
  sample: number,
  key: string,
  memory?: ReadMemory,
): Promise<Sample> {
  const members = await readMembers(index, archives, sample, key, memory);
  const { picture } = members;
  try {
    const said = members.objects ? parseJson(members.objects.bytes, members.objects.name) : {};
    const facts = isRecord(said) ? said : {};
    const decoded = await decodeImage(
      picture.bytes,
      key,
      sizeOf(facts),
      index.pictures,
      async () => index.pictures.otherwise === "turned",
      memory?.picture,
    );
    const { width, height, rgb } = decoded;
    return { key, width, height, rgb, objects: objectsOf(index, members, facts, decoded, key) };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const reason = error instanceof BadImageError ? error.reason : error.message;
    throw new BadImageError(key, `${plain(picture.name)}: ${reason}`, { cause: error });
  }
}

function sizeOf({ width, height }: Readonly<Record<string, unknown>>): Frame | undefined {
  const isSide = (side: unknown): side is number =>
    typeof side === "number" && Number.isInteger(side) && side > 0;
  return isSide(width) && isSide(height) ? { width, height } : undefined;
}

/** Objects of the JSON member, else of the label map, else the picture as a whole where it has a class. */
function objectsOf(
  { classes }: PackedIndex,
  { map, class: named }: Members,
  facts: Readonly<Record<string, unknown>>,
  frame: Frame,
  key: string,
): SceneObject[] {
  const listed = facts.objects ?? facts.annotations;
  if (Array.isArray(listed))
    return listed
      .map((value: unknown, at) => listedObject(value, at, frame, classes))
      .filter(({ area }) => area > 0);
  if (map) {
    const { values, width, height, highest } = decodeLabelMap(map.bytes, key);
    if (width !== frame.width || height !== frame.height)
      throw new DataError(
        `its label map is ${width} × ${height} pixels; wanted ${frame.width} × ${frame.height}, as the picture`,
      );
    return objectsFromLabelMap(values, frame, {
      ignore: highest === undefined ? [0] : [0, highest],
    });
  }
  if (!named) return [];
  const label = Number(named.bytes.toString("latin1", 0, 20).trim());
  const isLabel = Number.isInteger(label) && label >= 0 && label < classes.length;
  const whole = [0, 0, frame.width, frame.height];
  return [objectFromBox(whole, frame, { label: isLabel ? label : -1 })];
}

function listedObject(
  value: unknown,
  at: number,
  frame: Frame,
  classes: readonly string[],
): SceneObject {
  if (!isRecord(value)) throw new DataError(`objects[${at}] is ${show(value)}; wanted an object`);
  const { id, label, score, segmentation, bbox } = value;
  const number = typeof label === "string" ? classes.indexOf(label) : label;
  const isLabel = typeof number === "number" && Number.isInteger(number) && number < classes.length;
  const about = {
    id: typeof id === "number" && Number.isSafeInteger(id) ? id : at,
    label: isLabel ? number : -1,
    score: typeof score === "number" ? score : undefined,
  };
  if (Array.isArray(segmentation) && segmentation.length > 0)
    return objectFromPolygons(segmentation as number[][], frame, about);
  if (isRecord(segmentation))
    return objectFromRuns(parseRle(segmentation, frame.width, frame.height), about);
  return objectFromBox(bbox as number[], frame, about);
}
