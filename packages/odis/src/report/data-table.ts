import { type Html, html, type Piece } from "./html.js";

export interface TableColumn {
  readonly title: string;
  /** what the cells are, where nobody sees the heads; default: the title */
  readonly label?: string;
  /** stands out */
  readonly ours?: boolean;
}

export interface TableLine {
  readonly name: string;
  /** one for each column; undefined where there is nothing */
  readonly cells: readonly (Cell | undefined)[];
  /** of the line */
  readonly look?: "ours" | "soft" | undefined;
}

export interface Cell {
  readonly text: Piece;
  /** stands out from other cells */
  readonly bold?: boolean;
}

export interface DataTable {
  readonly caption?: string;
  /** over the lines' names */
  readonly corner?: string;
  /** heads over neighbouring columns, with how many they span */
  readonly groups?: readonly { readonly title: string; readonly size: number }[];
  readonly columns: readonly TableColumn[];
  readonly lines: readonly TableLine[];
  /** its cells are words: on a phone not even a few columns fit beside each other */
  readonly wordy?: boolean;
}

/** More columns than these do not fit beside each other on a phone. */
const narrow = 3;

/**
 * A table in a card. Where it is wider than the screen, every line becomes a list of its cells with
 * their columns' names: nothing is cut off.
 */
export function dataTable(table: DataTable): Html {
  const { caption, corner = "", groups = [], columns, lines, wordy = false } = table;
  const stacked = wordy || columns.length > narrow;
  const labels = columns.map(({ title, label = title }) => label);
  return html`<div class="card"><table${stacked && html` class="stack"`}>
${caption !== undefined && html`<caption class="note">${caption}</caption>`}
<thead>${groups.length > 0 && html`<tr><td></td>${groups.map(({ title, size }) => html`<th scope="colgroup" colspan="${size}">${title}</th>`)}</tr>`}
<tr><th scope="col">${corner}</th>${columns.map(({ title, ours }) => html`<th scope="col"${ours && html` class="ours"`}>${title}</th>`)}</tr></thead>
<tbody>${lines.map(
    ({ name, cells, look }) =>
      html`<tr${look && html` class="${look}"`}><th scope="row">${name}</th>${columns.map((column, at) => cellOf(cells[at], column, labels[at]!))}</tr>`,
  )}</tbody></table></div>`;
}

function cellOf(cell: Cell | undefined, { ours }: TableColumn, label: string): Html {
  const looks = [ours && "ours", cell?.bold && "differs", !cell && "empty"].filter(Boolean);
  return html`<td${looks.length > 0 && html` class="${looks.join(" ")}"`} data-column="${label}">${cell ? cell.text : "–"}</td>`;
}
