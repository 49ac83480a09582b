export { lineChart } from "./chart.js";
export { column, type NumberKey } from "./curves.js";
export { dataTable, type TableLine } from "./data-table.js";
export { type DotRow, dotPlot } from "./dots.js";
export { factList, Html, html, htmlDocument, section } from "./html.js";
export { count, percent, signed, valueText } from "./numbers.js";
export { medianRate, networkText, readRun, viewsText } from "./record.js";
export { objectCrop, pngAddress, shrunk } from "./pictures.js";
export { makeReport, writeReport } from "./run.js";
export { intervalPlot } from "./scores.js";
export {
  formatTable,
  formatVerdict,
  representationTitles,
  terminalWidth,
  wrapped,
} from "./table.js";
