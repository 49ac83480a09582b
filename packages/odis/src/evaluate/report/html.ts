/** Text that is markup already. Only `html` makes it, so nothing unescaped can get in. */
export class Html {
  constructor(readonly markup: string) {}
}

/** What a template may hold: markup as it is, anything else escaped, nothing for absent values. */
export type Piece = Html | string | number | undefined | false | readonly Piece[];

/**
 * Template for markup. Strings from outside (file names, class names, reasons) are escaped, so that
 * a picture called `<img onerror=…>` is a name and not a program.
 */
export function html(texts: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  return new Html(
    texts.map((text, i) => text + (i < pieces.length ? render(pieces[i]) : "")).join(""),
  );
}

function render(piece: Piece): string {
  if (piece === undefined || piece === false) return "";
  if (piece instanceof Html) return piece.markup;
  if (typeof piece === "object") return piece.map(render).join("");
  return escape(String(piece));
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character]!);
}
