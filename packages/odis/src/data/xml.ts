import { DataError, FileProblem, plain, readRegular, reasonOf, show } from "../core/index.js";

/** Largest file of annotations, bytes: it becomes one text, and a tree several times its size. */
const LARGEST = 1 << 28;

/** Elements in one another. */
const DEEPEST = 100;

/**
 * One element: its text, or its children by name. Every child is in a list, so that a file with one
 * object reads like one with two.
 */
export type XmlElement = { readonly [name: string]: readonly (XmlElement | string)[] };

/**
 * Reads an XML file. Attributes are children whose names begin with `@`. Entities of the file's own
 * are not expanded.
 *
 * @throws DataError if it is missing, no regular file, too large, too deep, or not XML
 */
export async function readXml(path: string, what: string): Promise<XmlElement> {
  const where = `${what} ${plain(path)}`;
  const bytes = await readRegular(path, LARGEST).catch((cause: unknown) => {
    if (!(cause instanceof FileProblem)) throw cause;
    throw new DataError(`${where} ${cause.message}`, { cause });
  });
  return parseXml(bytes, where);
}

/** @throws DataError if it is not XML, or too deep */
export async function parseXml(bytes: Buffer, where: string): Promise<XmlElement> {
  const { XMLParser, XMLValidator } = await import("fast-xml-parser");
  const text = bytes.toString("utf8").replace(/^\uFEFF/, "");
  // The library's tree is walked by recursion: how deep is known before it begins.
  if (deepest(text) > DEEPEST)
    throw new DataError(`${where} has elements in one another more than ${DEEPEST} levels deep`);
  try {
    const valid = XMLValidator.validate(text);
    if (valid !== true) {
      const { msg, line, col } = valid.err;
      throw new DataError(
        `${where} is not XML: ${plain(msg.replace(/\.$/, ""))} at line ${line}, column ${col || 1}`,
      );
    }
    const parser = new XMLParser({
      ignoreAttributes: false,
      attributeNamePrefix: "@",
      parseTagValue: false,
      parseAttributeValue: false,
      isArray: () => true,
      htmlEntities: true,
      ignoreDeclaration: true,
      ignorePiTags: true,
    });
    const tree: unknown = parser.parse(text);
    return tree as XmlElement;
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${where} is not XML: ${plain(reasonOf(cause))}`, { cause });
  }
}

/** Tags that are open at once at most, counted without parsing. */
function deepest(text: string): number {
  let [depth, most] = [0, 0];
  for (const [tag] of text.matchAll(/<(?!!|\?)[^>]*>/g)) {
    if (tag.startsWith("</")) depth -= 1;
    else if (!tag.endsWith("/>")) depth += 1;
    if (depth > most) most = depth;
    if (most > DEEPEST) return most;
  }
  return most;
}

/** The children of a name that are elements. */
export function elements(parent: XmlElement, name: string): XmlElement[] {
  return (parent[name] ?? []).filter((child): child is XmlElement => typeof child !== "string");
}

/** The text of the first child of a name, trimmed; undefined where there is none. */
export function textOf(parent: XmlElement, name: string): string | undefined {
  const [first] = parent[name] ?? [];
  if (first === undefined) return undefined;
  // An element with attributes keeps its text beside them.
  const text: unknown = typeof first === "string" ? first : first["#text"];
  return typeof text === "string" ? text.trim() : undefined;
}

/** @throws DataError when the first child of a name is no number */
export function numberOf(parent: XmlElement, name: string): number {
  const text = textOf(parent, name);
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  const label = name.startsWith("@") ? `the attribute ${name.slice(1)}` : `<${name}>`;
  throw new DataError(`${label} is ${show(text)}; wanted a number`);
}
