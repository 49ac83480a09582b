import { style } from "./style.js";

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

/**
 * Control characters, and those that turn the direction of the text after them: a browser would
 * drop the first, and a name with the others would garble the sentence round it. Lines, tabs and
 * what joins letters stay.
 */
const unseemly = /(?![\n\t\u00ad\u200c\u200d])[\p{Cc}\p{Cf}]/gu;

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character]!).replace(unseemly, "\ufffd");
}

/** A whole page as one HTML file: no script, nothing loaded from elsewhere. */
export function htmlDocument(title: string, main: Html): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title><style>${new Html(style)}</style></head>
<body><main>
${main}
</main></body></html>
`.markup;
}

/** A part of the page, or a sentence on why it is not there. */
export function section(title: string, body: Html | undefined, otherwise: string): Html {
  return html`<section><h2>${title}</h2>${body ?? html`<p class="note">${otherwise}</p>`}</section>`;
}

/** Names with their values in large type; what has no value is left out. */
export function factList(facts: readonly (readonly [string, string | undefined])[]): Html {
  return html`<dl class="facts">${facts.map(([name, value]) => value !== undefined && html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}
