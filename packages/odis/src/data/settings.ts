import { ConfigError, nearest, plain, show } from "../core/index.js";

/** Something that may be said of a data set behind its place: `coco:photos#limit=100,crowd`. */
interface Setting {
  readonly help: string;
  /** what stands behind `=`; empty for one that is on or off */
  readonly placeholder: string;
  /** The value that a text means; anything that does not fit is refused afterwards. */
  readonly parse: (text: string) => unknown;
  readonly fits: (value: unknown) => boolean;
  readonly wanted: string;
}

function flag(help: string): Setting {
  const fits = (value: unknown) => typeof value === "boolean";
  return { help, placeholder: "", parse: () => true, fits, wanted: "true or false" };
}

/** The text itself where it is no number, so that it is refused as it was given. */
function numberOr(text: string): number | string {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isNaN(value) ? text : value;
}

function number(help: string, low: number, high: number, whole: boolean): Setting {
  const fits = (value: unknown) =>
    typeof value === "number" &&
    value >= low &&
    value <= high &&
    (!whole || Number.isSafeInteger(value));
  const kind = whole ? "a whole number" : "a number";
  const wanted = high === Infinity ? `${kind}, ${low} or more` : `${kind} from ${low} to ${high}`;
  return {
    help,
    placeholder: "N",
    parse: numberOr,
    fits,
    wanted,
  };
}

function word(help: string, words: readonly string[]): Setting {
  return {
    help,
    placeholder: words.join("|"),
    parse: (text) => text,
    fits: (value) => words.includes(value as string),
    wanted: `one of ${words.join(", ")}`,
  };
}

const shares: Setting = {
  help: "a part of the images, drawn by `seed`: `take=0..0.8` and `take=0.8..1` share nothing, and copies of a picture stay together",
  placeholder: "FROM..TO",
  parse: (text) => {
    const values = text.split("..").map(numberOr);
    return values.every((share) => typeof share === "number") ? values : text;
  },
  fits: (value) =>
    Array.isArray(value) &&
    value.length === 2 &&
    value.every((share) => typeof share === "number" && share >= 0 && share <= 1) &&
    value[0] < value[1],
  wanted: "FROM..TO, two shares from 0 to 1, the lower one first",
};

/** For every kind of data set. */
const common = {
  limit: number("only so many images, the first", 1, Infinity, true),
  take: shares,
  seed: number("draws `take` and `balance`, default 0", 0, Number.MAX_SAFE_INTEGER, true),
  balance: number(
    "repeat images of rare classes until every class is in about this share of them",
    0,
    1,
    false,
  ),
  color: word("take colours as `stored` (default) or through their ICC profile", [
    "stored",
    "managed",
  ]),
  exif: word("take photographs as `stored` or as EXIF has them `turned` (default: as annotated)", [
    "stored",
    "turned",
  ]),
  outside: flag("files and links may lead out of the folder"),
  whole: flag("take a picture without an object as one object as a whole"),
  masks: {
    help: "the objects of this file instead of the annotated ones: COCO instances, as odis masks writes",
    placeholder: "FILE",
    parse: (text) => text,
    fits: (value) => typeof value === "string" && value !== "",
    wanted: "the name of a file",
  },
} satisfies Record<string, Setting>;

/** For kinds that name them. */
const special = {
  stuff: flag("take segments of stuff (sky, grass) as objects, too"),
  values: word("what the numbers of label maps are", ["objects", "classes"]),
  crowd: flag("take regions marked iscrowd as objects"),
  set: {
    help: "only the images of this list or split, such as train or Segmentation/val",
    placeholder: "NAME",
    parse: (text) => text,
    fits: (value) => typeof value === "string" && /^[\w][\w.-]*(\/[\w][\w.-]*)*$/.test(value),
    wanted: "the name of a list of images",
  },
  score: number("leave out objects that the detector was less sure of", 0, 1, false),
} satisfies Record<string, Setting>;

const all: Readonly<Record<string, Setting>> = { ...common, ...special };

export const commonSettings: readonly string[] = Object.keys(common);

/** `limit=N`, with its meaning, for help. */
export function settingHelp(name: string): readonly [text: string, help: string] {
  const { placeholder, help } = all[name]!;
  return [placeholder === "" ? name : `${name}=${placeholder}`, help];
}

/** What stands behind `#`, if anything like settings does. */
export function splitSettings(text: string): readonly [place: string, settings: string] {
  const found = /#([a-z]+(?:=[^,#]*)?(?:,[a-z]+(?:=[^,#]*)?)*)$/.exec(text);
  return found ? [text.slice(0, found.index), found[1]!] : [text, ""];
}

/**
 * @param known the kind's own settings
 * @throws ConfigError for an unknown one, or a value that does not fit
 */
export function parseSettings(
  text: string,
  kind: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  if (text === "") return {};
  const values = text.split(",").map((setting) => {
    const [name, ...rest] = setting.split("=");
    const found = find(name!, kind, known);
    const value =
      found.placeholder === "" && rest.length > 0 ? rest.join("=") : found.parse(rest.join("="));
    return [name!, value] as const;
  });
  const settings = Object.fromEntries(values);
  checkSettings(settings, known);
  return settings;
}

/** @throws ConfigError for a value that does not fit */
export function checkSettings(
  spec: Readonly<Record<string, unknown>>,
  known: readonly string[],
): void {
  for (const name of [...commonSettings, ...known]) {
    const value = spec[name];
    if (value === undefined || all[name]!.fits(value)) continue;
    throw new ConfigError(`data setting ${name}: got ${show(value)}; wanted ${all[name]!.wanted}`);
  }
}

function find(name: string, kind: string, known: readonly string[]): Setting {
  const names = [...commonSettings, ...known];
  if (names.includes(name)) return all[name]!;
  const close = nearest(name, names);
  throw new ConfigError(
    `data setting ${plain(JSON.stringify(name))}: ${kind} data has none of that name; wanted one of ` +
      `${names.join(", ")}${close === undefined ? "" : `. Did you mean ${close}?`}`,
  );
}

/** The settings of a spec as a command line writes them, `#` included; empty if there are none. */
export function settingsText(spec: Readonly<Record<string, unknown>>): string {
  const texts = Object.keys(all).flatMap((name) => {
    const value = spec[name];
    if (value === undefined || value === false) return [];
    if (value === true) return [name];
    return [`${name}=${Array.isArray(value) ? value.join("..") : (value as string | number)}`];
  });
  return texts.length > 0 ? `#${texts.join(",")}` : "";
}
