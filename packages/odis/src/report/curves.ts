import type { MetricsRow } from "../train/index.js";
import { type Recipe, summaryPrototypes } from "../recipe/index.js";
import { lineChart, type LineChart, type Series } from "./chart.js";
import { type Html, html } from "./html.js";
import { valueText } from "./numbers.js";

/** The run's curves as a grid of small charts; empty without rows. */
export function curves(rows: readonly MetricsRow[], recipe: Recipe): Html {
  if (rows.length === 0) return html``;
  const steps = rows.map(({ step }) => step);
  const charts = [...learning(rows, recipe), ...health(rows)];
  return html`<div class="grid-cards">${charts.map((chart) => lineChart({ steps, ...chart }))}</div>`;
}

type Chart = Omit<LineChart, "steps">;

function learning(rows: readonly MetricsRow[], recipe: Recipe): Chart[] {
  const { loss } = recipe;
  const uniform = Math.log(summaryPrototypes(recipe));
  const terms = [
    { key: "cls", name: "[CLS]", weight: loss.clsWeight },
    { key: "object", name: "object", weight: loss.objectWeight },
    { key: "patch", name: "patch", weight: loss.patchWeight },
    { key: "koleo", name: "KoLeo", weight: loss.koleoWeight },
  ] as const;
  const alike = [
    { key: "similarityViews", name: "the same in two views" },
    { key: "similarityObjects", name: "objects of one image" },
    { key: "similarityImages", name: "different images" },
  ] as const;
  return [
    {
      title: "Loss",
      note: "what is optimised, and its weighted terms",
      series: [
        column(rows, "loss", "total"),
        ...terms.filter(({ weight }) => weight > 0).map(({ key, name }) => column(rows, key, name)),
      ],
    },
    {
      title: "Teacher entropy",
      note: "nats; ln K: no opinion, 0: one prototype",
      series: [
        column(rows, "teacherEntropy", "of a target"),
        column(rows, "marginalEntropy", "of the mean target"),
      ],
      reference: { value: uniform, name: `ln K = ${valueText(uniform)}` },
      fromZero: true,
    },
    {
      title: "Likeness",
      note: "mean cosine of the teacher’s summaries; all near 1: collapsed",
      series: alike.map(({ key, name }) => column(rows, key, name)),
      fromZero: true,
    },
    {
      title: "KL",
      note: "nats; summary loss above its targets’ entropy",
      series: [column(rows, "kl", "KL")],
      fromZero: true,
    },
    {
      title: "Gradient norm",
      note: "all weights together, before clipping",
      series: [column(rows, "gradNorm", "norm")],
      fromZero: true,
    },
    {
      title: "Learning rate",
      note: "its schedule",
      series: [column(rows, "lr", "lr")],
      fromZero: true,
    },
  ];
}

function health(rows: readonly MetricsRow[]): Chart[] {
  const globals = rows[0]!.tries.length;
  const share = (key: "absent" | "dataWait", name: string): Series => ({
    name,
    values: rows.map((row) => 100 * row[key]),
  });
  return [
    {
      title: "Tries",
      note: "crops drawn until the object was present, mean",
      series: Array.from({ length: globals }, (_, view) => ({
        name: `global view ${view + 1}`,
        values: rows.map(({ tries }) => tries[view] ?? Number.NaN),
      })).slice(0, 4),
    },
    {
      title: "Object absent",
      note: "per cent of global views",
      series: [share("absent", "absent")],
      fromZero: true,
    },
    {
      title: "Speed",
      note: "images per second",
      series: [column(rows, "imagesPerSecond", "images/s")],
      fromZero: true,
    },
    {
      title: "Waiting for data",
      note: "per cent of the time of a step",
      series: [share("dataWait", "waiting")],
      fromZero: true,
    },
  ];
}

export type NumberKey = Exclude<keyof MetricsRow, "tries">;

/** One key of all rows as a curve. */
export function column(rows: readonly MetricsRow[], key: NumberKey, name: string): Series {
  return { name, values: rows.map((row) => row[key] ?? Number.NaN) };
}
