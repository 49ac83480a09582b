import { factList, htmlDocument, section } from "../../evaluate/report/document.js";
import { type Html, html } from "../../evaluate/report/html.js";
import { count } from "../../evaluate/table.js";
import { duration } from "../../run/progress.js";
import type { Collected, Comparison } from "../results.js";
import { remarks } from "../tables.js";
import { curvesOfRows } from "./curves.js";
import { differencesToReference, whatMasksChange } from "./differences.js";
import { commandsOfRows } from "./rows.js";
import { linesTable, rowsTable } from "./tables.js";

/** The whole comparison as one HTML file: no script, nothing loaded from elsewhere. */
export function reportPage(collected: Collected): string {
  const { comparison } = collected;
  const { plan, lines, differences, inference } = comparison;
  const title = plan.title ?? plan.name;
  const measured = comparison.rows.some(({ cells }) => Object.keys(cells).length > 0);
  const said = remarks(comparison);
  const none = "No run is finished yet.";
  return htmlDocument(
    `${title} – odis comparison`,
    html`<header><h1>${title}</h1><p class="lead">Recipes of one trainer at equal compute${plan.note !== undefined && `. ${plan.note}`}</p>${facts(comparison)}</header>
${section("Side by side", measured ? rowsTable(comparison) : undefined, none)}
${lines.length > 0 && section("As the paper puts it", lines.some(({ spread }) => spread) ? linesTable(comparison) : undefined, none)}
${section(`Differences to ${comparison.reference}`, differences.length > 0 ? differencesToReference(comparison) : undefined, "Nothing to compare with yet: it takes a finished run of the reference and one of another row, with the same seed.")}
${section("What masks at inference change", inference.length > 0 ? whatMasksChange(comparison) : undefined, none)}
${section("What went wrong", said.length > 0 ? html`<ul class="plain">${said.map((remark) => html`<li>${remark}</li>`)}</ul>` : undefined, "Nothing: no run failed, and no run that trained this far has collapsed.")}
${section("Curves", curvesOfRows(collected), "No metrics yet.")}
${section("Rows, and how to run them again", commandsOfRows(comparison), none)}`,
  );
}

function facts({ plan, rows, compute }: Comparison): Html {
  const runs = rows.flatMap((row) => row.runs);
  const finished = runs.filter(({ status }) => status === "finished").length;
  const { steps, batch, views, network } = compute;
  return factList([
    ["runs finished", `${finished} of ${runs.length}`],
    ["rows", String(rows.length)],
    ["seeds", plan.seeds.join(", ")],
    ["steps", steps === undefined ? undefined : count(steps)],
    ["batch", count(batch)],
    ["views", views],
    ["network", network],
    ["training time", duration(runs.reduce((sum, { seconds }) => sum + seconds, 0))],
    ["trained on", plan.data.train],
    ["tested on", plan.data.test],
  ]);
}
