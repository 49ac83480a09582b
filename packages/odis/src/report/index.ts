export { axis, lineChart, place, tickText, valueText } from "./chart.js";
export { column, type NumberKey } from "./curves.js";
export { factList, Html, html, htmlDocument, section } from "./html.js";
export { medianRate, networkText, readRun, viewsText } from "./record.js";
export { writeReport } from "./run.js";
export { intervalPlot } from "./scores.js";
export { contenderNames, count, percent, formatTable } from "./table.js";
