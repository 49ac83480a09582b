export { axis, lineChart, place, tickText, valueText } from "./chart.js";
export { column, type NumberKey } from "./curves.js";
export { factList, Html, html, htmlDocument, section } from "./html.js";
export { medianRate, networkText, readRun, viewsText } from "./record.js";
export { writeReport } from "./run.js";
export { intervalPlot } from "./scores.js";
export { count, formatTable, percent, representationTitles } from "./table.js";
