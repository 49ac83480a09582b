import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, DataError, reasonOf } from "../core/index.js";
import { decodeCutOut } from "../data/index.js";
import { shrink } from "./resize.js";
import { type Sprite, type SpriteSource, type SpriteSplits, trim } from "./sprite.js";

/** Where Debian's package `tuxpaint-stamps-default` puts its files. */
export const stampsFolder = "/usr/share/tuxpaint/stamps";

/**
 * What a stamp is, by the folders it lies in or below. Small folders of one kind are merged, so that
 * every class has enough for training and for testing. Left out: signs that are no things (letters,
 * digits, notes), and folders held together by an occasion (seasonal, medical).
 */
const folders: Readonly<Record<string, readonly string[]>> = {
  bird: ["animals/birds"],
  fish: ["animals/fish"],
  insect: ["animals/insects"],
  mammal: ["animals/mammals", "animals/marsupials"],
  clothing: ["clothes"],
  fruit: ["food/fruit"],
  vegetable: ["food/vegetables"],
  instrument: ["hobbies/music"],
  dish: ["household/dishes"],
  tool: ["household/tools", "household/arttools"],
  flower: ["plants/flowers"],
  tree: ["plants/trees"],
  planet: ["space"],
  sport: ["sports"],
  "chess piece": ["symbols/chess"],
  coin: [
    "symbols/money/canadian",
    "symbols/money/euro",
    "symbols/money/japanese",
    "symbols/money/us",
  ],
  building: ["town/houses", "town/monuments"],
  "road sign": ["town/roadsigns"],
  vehicle: ["vehicles", "military/vehicles"],
};

/** See-through things: hardly a pixel of them is solid enough for a mask. */
const seeThrough: readonly string[] = ["household/dishes/glass.png", "sports/rugby_goal_posts.png"];

/** Stamps that a class needs, lest training or testing see hardly any. */
const FEWEST = 6;

/** One stamp in so many is for testing. */
const TEST_EVERY = 4;

/** Opacity up to here, of 255, is a trace of somebody's brush. */
const TRACE = 16;

interface Stamp {
  readonly path: string;
  readonly label: number;
}

/**
 * Cut-out photographs and drawings of things, in colour (Tux Paint's stamps, GPL-2; some 430 of
 * them). Of the stamps of a class, in the order of their names, every fourth is for testing. Mirrored
 * copies of a stamp are left out: they would be in both splits.
 *
 * @param longest longer side that sprites are shrunk to, pixels
 * @throws DataError if the folder is missing, or a class has too few stamps
 */
export async function openStamps(folder: string, longest: number): Promise<SpriteSplits> {
  const classes = Object.keys(folders);
  const files = await list(folder);
  const stamps = classes.map((name, label) => {
    const found = files.filter((file) =>
      folders[name]!.some((place) => file.startsWith(`${place}/`)),
    );
    if (found.length < FEWEST)
      throw new DataError(
        `stamps: ${folder} has ${found.length} of class "${name}" (in ${folders[name]!.join(", ")}); ` +
          `wanted ${FEWEST} or more. ${HOW_TO_INSTALL}`,
      );
    return found.map((file): Stamp => ({ path: join(folder, file), label }));
  });
  const split = (test: boolean) =>
    stamps.flatMap((list) => list.filter((_, k) => (k % TEST_EVERY === TEST_EVERY - 1) === test));
  return {
    train: source(split(false), classes, longest),
    test: source(split(true), classes, longest),
  };
}

const HOW_TO_INSTALL =
  "On Debian and Ubuntu it comes with: sudo apt-get install tuxpaint-stamps-default";

/** Stamps as paths in the folder, in the order of their code points. */
async function list(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    const reason = codeOf(cause) === "ENOENT" ? "is not there" : reasonOf(cause);
    throw new DataError(`stamps: ${folder} ${reason}. ${HOW_TO_INSTALL}`, { cause });
  });
  return files
    .filter((file) => file.endsWith(".png") && !file.endsWith("_mirror.png"))
    .filter((file) => !seeThrough.includes(file))
    .toSorted((a, b) => (a < b ? -1 : 1));
}

/** Decodes a stamp when a scene first wants it, and keeps it. */
function source(
  stamps: readonly Stamp[],
  classes: readonly string[],
  longest: number,
): SpriteSource {
  const known = new Map<number, Promise<Sprite>>();
  return {
    size: stamps.length,
    classes,
    read(index) {
      const sprite = known.get(index) ?? readStamp(stamps[index]!, longest);
      known.set(index, sprite);
      return sprite;
    },
  };
}

async function readStamp({ path, label }: Stamp, longest: number): Promise<Sprite> {
  const { width, height, rgba } = await decodeCutOut(path).catch((cause: unknown) => {
    throw new DataError(`stamps: ${path} cannot be decoded (${reasonOf(cause)})`, { cause });
  });
  for (let at = 3; at < rgba.length; at += 4) if (rgba[at]! <= TRACE) rgba[at] = 0;
  return shrink(trim({ width, height, rgba, label }), longest);
}
