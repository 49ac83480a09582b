import { type Html, html } from "../../evaluate/report/html.js";
import type { Comparison, RowResult } from "../results.js";

/** What each row is, and the commands of each of its runs. */
export function commandsOfRows({ rows }: Comparison): Html {
  return html`${rows.map(
    (row) =>
      html`<h3>${row.name}</h3><p>Recipe <b>${row.recipe}</b>${row.note !== undefined && `: ${row.note}`}.${row.unequal !== undefined && ` Not at equal compute: ${row.unequal}.`}</p>
${commands(row)}`,
  )}`;
}

function commands({ runs }: RowResult): Html {
  const [first, ...others] = runs.map(
    ({ commands: { pretrain, evaluate } }) => html`<pre class="wrap">${pretrain}
${evaluate}</pre>`,
  );
  return html`${first}${others.length > 0 && html`<details><summary>${others.length} other ${others.length === 1 ? "seed" : "seeds"}</summary>${others}</details>`}`;
}
