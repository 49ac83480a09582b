import { valueText } from "../../evaluate/report/axis.js";
import { column, type NumberKey } from "../../evaluate/report/curves.js";
import { type Html, html } from "../../evaluate/report/html.js";
import { lineChart } from "../../evaluate/report/line-chart.js";
import type { Collected, RowResult } from "../results.js";

/** Seeds that a chart shows: more lines could not be told apart. */
const shownSeeds = 3;

const charts = [
  { key: "loss", title: "loss", note: "what is optimised" },
  { key: "teacherEntropy", title: "entropy of a target", note: "nats; at ln K it says nothing" },
  {
    key: "marginalEntropy",
    title: "entropy of the mean target",
    note: "nats; at 0 one prototype takes every image",
  },
] as const satisfies readonly { key: NumberKey; title: string; note: string }[];

/** Loss and entropies of every row, one line a seed; undefined before the first step. */
export function curvesOfRows({ comparison, curves }: Collected): Html | undefined {
  const shown = comparison.rows.filter(({ runs }) => runs.some((run) => run.steps > 0));
  if (shown.length === 0) return undefined;
  return html`<p class="note">One line a seed${comparison.rows.some(({ runs }) => runs.length > shownSeeds) && `, the first ${shownSeeds}`}. Neighbouring steps are averaged; the tint reaches from the lowest to the highest. Losses of different recipes have different terms: compare their course, not their height.</p>
${shown.map((row) => html`<h3>${row.name}</h3><div class="grid-cards">${chartsOfRow(row, curves)}</div>`)}`;
}

function chartsOfRow({ runs, prototypes }: RowResult, curves: Collected["curves"]): Html[] {
  const seeds = runs.filter(({ steps }) => steps > 0).slice(0, shownSeeds);
  const rows = seeds.map(({ seed, name }) => ({ seed, rows: curves.get(name) ?? [] }));
  const longest = rows.map((one) => one.rows).reduce((a, b) => (b.length > a.length ? b : a));
  const uniform = Math.log(prototypes);
  return charts.map(({ key, title, note }) =>
    lineChart({
      title,
      note,
      steps: longest.map(({ step }) => step),
      series: rows.map((one) => column(one.rows, key, `seed ${one.seed}`)),
      ...(key === "loss"
        ? {}
        : { reference: { value: uniform, name: `ln K = ${valueText(uniform)}` }, fromZero: true }),
    }),
  );
}
