import { Html, html } from "./html.js";
import { style } from "./style.js";

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
