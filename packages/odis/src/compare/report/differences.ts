import { type Html, html } from "../../evaluate/report/html.js";
import { groups, type Measure, shares } from "../measures.js";
import type { Comparison, DifferenceResult } from "../results.js";
import { differenceText } from "../tables.js";
import { differencePlot } from "./difference-plot.js";
import { columnHeads } from "./tables.js";

/** Every row against the reference: the numbers, and drawn. */
export function differencesToReference({ rows, reference, differences }: Comparison): Html {
  return matrix(rows, differences, (title) => `${title}, against ${reference}`);
}

/** Every row against itself without masks at inference. */
export function whatMasksChange({ rows, inference }: Comparison): Html {
  return matrix(rows, inference, (title) => `${title}, against no mask`);
}

function matrix(
  rows: Comparison["rows"],
  found: readonly DifferenceResult[],
  caption: (title: string) => string,
): Html {
  const names = rows.map(({ name }) => name).filter((name) => found.some(({ of }) => of === name));
  const columns = shares.filter(({ key }) => found.some(({ measure }) => measure === key));
  const at = (name: string, key: string): DifferenceResult | undefined =>
    found.find(({ of, measure }) => of === name && measure === key);
  return html`<div class="card scroll"><table class="wide">
<caption class="note">Percentage points [95 % interval]; * and bold: differs, 0 is outside of the interval; otherwise within noise</caption>
${columnHeads(columns)}
<tbody>${names.map((name) => html`<tr><th scope="row">${name}</th>${columns.map(({ key }) => cell(at(name, key)))}</tr>`)}</tbody></table></div>
<p class="note">Paired: the same seed and the same test images on both sides. Images are resampled as wholes; seeds enter by
Student’s t, because few seeds cannot be resampled. Of twenty comparisons of equal things, one is marked by chance.</p>
<div class="grid-cards">${columns.map((measure) =>
    differencePlot(
      caption(longTitle(measure)),
      names.flatMap((name) => {
        const difference = at(name, measure.key);
        return difference ? [{ name, ...difference }] : [];
      }),
    ),
  )}</div>`;
}

function longTitle({ group, title }: Measure): string {
  return group === "object" ? title : `${groups[group].short}, ${title}`;
}

function cell(found: DifferenceResult | undefined): Html {
  const [value, ...interval] = differenceText(found).split(" ");
  return html`<td${found?.differs === true && html` class="differs"`}>${value} <small>${interval.join(" ")}</small></td>`;
}
