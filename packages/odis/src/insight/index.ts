export { type Insight, insightInto, type InsightOptions } from "./insight.js";
export type { Cluster, Clusters } from "./clusters.js";
export type { DuplicateGroup, Duplicates } from "./duplicates.js";
export type { Doubt, Outlier } from "./outliers.js";
export { insightPage } from "./page.js";
export { formatInsight } from "./summary.js";
