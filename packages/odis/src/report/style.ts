/** The report's looks: one column of cards, light or dark as the reader's system is. */
export const style = `
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #fff; --ink: #1d1f24; --soft: #5c6270; --line: #e2e0db; --grid: #ecebe7;
  --c0: #1f6fb4; --c1: #c2570c; --c2: #3c7d3a; --c3: #8a4fa0; --c4: #0b7a75; --c5: #a3245f; --good: #2b7a3d; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171b; --card: #1d2026; --ink: #e8e8e6; --soft: #a2a8b4; --line: #343842; --grid: #2a2e36;
  --c0: #6db3f2; --c1: #f2a15f; --c2: #86c983; --c3: #cf9fe0; --c4: #5cc8c0; --c5: #f49ac1; --good: #7cc98d; --bad: #f28b82; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1160px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 44px 0 6px; }
p { margin: 0 0 12px; max-width: 72ch; }
.lead, .note { color: var(--soft); overflow-wrap: anywhere; }
.note { font-size: .92rem; }
.verdict { border-left: 4px solid var(--c0); padding: 2px 0 2px 16px; margin: 18px 0 0; max-width: 78ch; font-size: 1.06rem; } .verdict p { margin: 0 0 8px; max-width: none; } .verdict p:last-child { margin: 0; } .verdict p:nth-child(n+3) { color: var(--soft); font-size: 1rem; }
.facts { display: flex; flex-wrap: wrap; gap: 8px 34px; margin: 18px 0 0; padding: 0; }
.facts div { min-width: 90px; } .facts dt { color: var(--soft); font-size: .82rem; }
.facts dd { margin: 0; font-size: 1.12rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; margin: 0; }
.grid-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); gap: 14px; margin-top: 12px; }
.split + p, .split + .split { margin-top: 14px; } .card + .note { margin-top: 8px; }
.split { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 14px; align-items: start; }
@media (max-width: 860px) { .split { grid-template-columns: minmax(0, 1fr); } }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 10px; border-bottom: 1px solid var(--line); }
@media (min-width: 861px) { th:first-child { min-width: 7rem; } }
th:first-child { text-align: left; overflow-wrap: anywhere; } th { font-weight: 600; } thead th { color: var(--soft); font-size: .86rem; }
td small { color: var(--soft); display: block; font-size: .8rem; white-space: nowrap; } tbody tr:last-child > * { border-bottom: 0; }
.ours { background: color-mix(in srgb, var(--c0) 9%, transparent); }
tr.soft > * { color: var(--soft); } td.differs { font-weight: 600; } th[colspan] { text-align: center; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.dot { fill: var(--c); } .dot.hollow { stroke: var(--c); stroke-width: 1.6; fill: var(--card); } h3 { font-size: 1rem; margin: 22px 0 4px; }
caption { text-align: left; padding: 0 10px 6px; }
figure { margin: 0; } figcaption { font-size: .82rem; color: var(--soft); overflow-wrap: anywhere; }
.chart figcaption { font-size: .84rem; margin-bottom: 8px; } .chart figcaption b { color: var(--ink); display: block; font-size: .95rem; }
svg { display: block; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.grid line { stroke: var(--grid); } .end text { text-anchor: end; } .middle text { text-anchor: middle; }
.tick-name { text-anchor: end; font-style: italic; } .row-name { dominant-baseline: middle; fill: var(--ink); font-size: 12px; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; } .band { opacity: .16; stroke: none; }
.interval { stroke-width: 2; opacity: .55; }
.c0 { --c: var(--c0); } .c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); } .c5 { --c: var(--c5); }
.c0 .line, .c1 .line, .c2 .line, .c3 .line, .interval { stroke: var(--c); }
.c0 .band, .c1 .band, .c2 .band, .c3 .band, g[class^=c] > circle { fill: var(--c); }
.reference line { stroke: var(--soft); stroke-dasharray: 4 3; } .reference text { text-anchor: end; fill: var(--soft); }
.hover rect { fill: transparent; } .hover rect:hover { fill: color-mix(in srgb, var(--ink) 14%, transparent); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0; font-size: .84rem; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: 6px; } .legend svg { width: 28px; height: 10px; } .legend svg[viewBox^="0 0 16"] { width: 16px; height: 12px; }
.views { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: 14px; margin: 14px 0 26px; align-items: start; }
.maps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 500px), 1fr)); gap: 4px 30px; } .maps .views { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; margin: 8px 0; }
@media (max-width: 640px) { .views { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.views figcaption { margin-top: 5px; } .picture { border-radius: 4px; background: var(--grid); max-height: 300px; }
.picture.pixelated image, .local { image-rendering: pixelated; }
.edge, .edge-back { fill: none; stroke-linecap: square; vector-effect: non-scaling-stroke; }
.edge { stroke: #ffd23f; stroke-width: 2; } .edge-back { stroke: #000; stroke-width: 4; opacity: .7; }
.frame { fill: none; stroke: #fff; stroke-width: 1.5; stroke-dasharray: 5 4; vector-effect: non-scaling-stroke; paint-order: stroke; filter: drop-shadow(0 0 1px #000); }
.shade { fill: #000; opacity: .28; } .lid { fill: #0d1016; opacity: .74; } .stroke { stroke: #fff; stroke-width: 1; opacity: .75; vector-effect: non-scaling-stroke; fill: none; }
.locals { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 4px; } .local { width: 100%; height: auto; border-radius: 3px; display: block; }
.key { display: flex; flex-wrap: wrap; gap: 4px 18px; list-style: none; padding: 0; margin: 8px 0 0; font-size: .88rem; color: var(--soft); }
.key li { display: flex; gap: 7px; align-items: center; } .key svg { width: 22px; height: 22px; flex: none; }
.strip { display: flex; gap: 12px; padding: 10px 0; border-bottom: 1px solid var(--line); }
.strip ol { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 10px; }
.strip li, .query { width: 104px; font-size: .82rem; line-height: 1.3; } .strip span, .strip small { display: block; overflow-wrap: anywhere; }
.strip small { color: var(--soft); } .strip img, .missing { width: 100%; height: auto; aspect-ratio: 1; object-fit: contain; border-radius: 5px; display: block; margin-bottom: 4px; background: #fff; }
.query { flex: none; padding-right: 12px; border-right: 2px solid var(--line); } .query span { font-weight: 600; }
.right img { outline: 3px solid var(--good); } .wrong img { outline: 3px dashed var(--bad); outline-offset: -3px; } .right img { outline-offset: -3px; }
.right .mark { color: var(--good); } .wrong .mark { color: var(--bad); }
.missing { display: grid; place-items: center; color: #555; border: 1px dashed #999; }
@media (max-width: 520px) { .strip li, .query { width: 76px; } }
code, pre { font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; margin: 8px 0; }
details { margin: 10px 0; } summary { cursor: pointer; font-weight: 600; } .plain { padding-left: 20px; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--c0); outline-offset: 2px; }
@media (max-width: 680px) { table.stack, .stack > tbody, .stack > tbody > tr, .stack th, .stack td, .stack > caption { display: block; }
  .stack > thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .stack > tbody > tr { padding: 8px 6px; border-bottom: 1px solid var(--line); } .stack > tbody > tr:last-child { border-bottom: 0; }
  .stack th, .stack td { border: 0 !important; padding: 2px 0; } .stack td { display: flex; flex-wrap: wrap; gap: 0 8px; justify-content: flex-end; background: none; }
  .stack td::before { content: attr(data-column); color: var(--soft); margin-right: auto; text-align: left; } .stack td.empty { display: none; } .stack td small { align-self: center; } }
@media (max-width: 520px) { main { padding: 20px 14px 40px; } .card { padding: 10px 8px; } th, td { padding: 6px 4px; } table { font-size: .88rem; } td small { font-size: .7rem; } caption { padding: 0 4px 6px; } }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
`;
