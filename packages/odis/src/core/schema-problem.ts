import { z } from "zod";
import type { ConfigLayer } from "./schema.js";
import { nearest } from "./text.js";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * One problem of a configuration as plain sentences, one for each unknown key:
 * `--set: optim.lrr: unknown setting (got 0.1). Did you mean optim.lr?`
 *
 * @param schema what was asked of the settings; known names for "did you mean" come from it
 * @param settings the merged settings
 * @param layers where they came from, for the source's name
 */
export function explainIssue(
  issue: Issue,
  schema: z.core.$ZodType,
  settings: unknown,
  layers: readonly ConfigLayer[],
): readonly string[] {
  const named = (path: Path, problem: string): string => {
    const source = layers.findLast(({ values }) => valueAt(values, path) !== undefined)?.source;
    return `${source === undefined ? "" : `${source}: `}${dotted(path)}: ${problem}`;
  };
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      const got = show(valueAt(settings, path));
      return named(path, `unknown setting (got ${got}). ${suggestion(schema, issue.path, key)}`);
    });
  if (issue.code === "invalid_union") {
    // The member that the value came furthest into is the one that was meant.
    const depth = ({ path }: Issue): number => path.length;
    const meant = issue.errors.toSorted(
      (a, b) => Math.max(0, ...b.map(depth)) - Math.max(0, ...a.map(depth)),
    )[0];
    if (meant?.some(({ path }) => path.length > 0))
      return meant.flatMap((inner) =>
        explainIssue({ ...inner, path: [...issue.path, ...inner.path] }, schema, settings, layers),
      );
  }
  const got = valueAt(settings, issue.path);
  const hint =
    issue.code === "invalid_value" && typeof got === "string"
      ? nearest(
          got,
          issue.values.filter((value) => typeof value === "string"),
        )
      : undefined;
  const didYouMean = hint === undefined ? "" : `. Did you mean ${JSON.stringify(hint)}?`;
  return [named(issue.path, `got ${show(got)}, ${wanted(issue)}${didYouMean}`)];
}

function wanted(issue: Issue): string {
  // A schema may have a sentence of its own.
  if (issue.message.startsWith("wanted ")) return issue.message;
  const text = expectation(issue);
  return text === undefined ? issue.message : `wanted ${text}`;
}

const typeNames: Readonly<Record<string, string>> = {
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  string: "a text",
  array: "a list",
  tuple: "a list",
  object: "an object of settings",
  record: "an object of settings",
};

function expectation(issue: Issue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return typeNames[issue.expected] ?? issue.expected;
    case "too_small":
      return limit(issue, issue.minimum, "at least", "greater than");
    case "too_big":
      return limit(issue, issue.maximum, "at most", "less than");
    case "not_multiple_of":
      return `a multiple of ${issue.divisor}`;
    case "invalid_value":
      return issue.values.length === 1
        ? JSON.stringify(issue.values[0])
        : `one of ${issue.values.map((value) => JSON.stringify(value)).join(", ")}`;
    case "invalid_union": {
      if ("options" in issue && issue.options)
        return `one of ${issue.options.map((value) => JSON.stringify(value)).join(", ")}`;
      return issue.errors
        .flatMap((member) => member.slice(0, 1))
        .map((member) => wanted(member).replace(/^wanted /, ""))
        .join(", or ");
    }
    case "custom":
    case "invalid_element":
    case "invalid_format":
    case "invalid_key":
    case "unrecognized_keys":
    default:
      return undefined;
  }
}

function limit(
  { origin, inclusive, exact }: Pick<z.core.$ZodIssueTooSmall, "origin" | "inclusive" | "exact">,
  bound: number | bigint,
  closed: string,
  open: string,
): string {
  const range = exact ? `exactly ${bound}` : `${inclusive ? closed : open} ${bound}`;
  if (origin === "array") return `a list of ${range} entries`;
  if (origin === "string") return `a text of ${range} letters`;
  return exact || inclusive ? `a number of ${range}` : `a number ${range}`;
}

function suggestion(schema: z.core.$ZodType, parent: Path, key: string): string {
  const siblings = Object.keys(shapeAt(schema, parent));
  const close = nearest(key, siblings);
  if (close !== undefined) return `Did you mean ${dotted([...parent, close])}?`;
  // A right name in the wrong place: `lr` for `optim.lr`.
  const elsewhere = [...schemaPaths(schema)].filter((path) => path.at(-1) === key);
  if (elsewhere.length > 0) return `Did you mean ${elsewhere.map(dotted).join(" or ")}?`;
  return `${parent.length === 0 ? "Settings" : `Settings of ${dotted(parent)}`} are: ${siblings.join(", ")}.`;
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  const wraps =
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable;
  // What is mended before it is looked at: the schema is what looks.
  if (schema instanceof z.ZodPipe && schema.in instanceof z.ZodTransform) return unwrap(schema.out);
  return wraps ? unwrap(schema.unwrap()) : schema;
}

/** Names and schemas directly below an object schema; of a union those of all its members. */
function shapeOf(schema: z.core.$ZodType): Readonly<Record<string, z.core.$ZodType>> {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) return inner.shape;
  if (inner instanceof z.ZodUnion)
    return Object.assign({}, ...inner.options.map((option) => shapeOf(option)));
  return {};
}

/** The schema of one entry: of a list or record that of all of them. */
function entryAt(schema: z.core.$ZodType, key: PropertyKey): z.core.$ZodType | undefined {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) return inner.element;
  if (inner instanceof z.ZodRecord) return inner.valueType;
  return shapeOf(inner)[String(key)];
}

function shapeAt(schema: z.core.$ZodType, path: Path) {
  let at: z.core.$ZodType | undefined = schema;
  for (const key of path) at = at && entryAt(at, key);
  return at ? shapeOf(at) : {};
}

/** The path of every setting that a schema knows, groups of settings included. */
export function* schemaPaths(schema: z.core.$ZodType, above: Path = []): Generator<Path> {
  for (const [key, inner] of Object.entries(shapeOf(schema))) {
    const path = [...above, key];
    yield path;
    yield* schemaPaths(inner, path);
  }
}

function valueAt(settings: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? Reflect.get(value, key)
        : undefined,
    settings,
  );
}

function dotted(path: Path): string {
  return path.length === 0 ? "the configuration" : path.map(String).join(".");
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
