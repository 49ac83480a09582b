/** The explorer's looks: a grid beside an object, one above the other on a phone; light or dark. */
export const pageStyle = `
:root { color-scheme: light dark;
  --paper: #fbfaf8; --card: #fff; --ink: #1d1f24; --soft: #5c6270; --line: #e2e0db; --accent: #1f6fb4; --mark: #ffd23f; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171b; --card: #1d2026; --ink: #e8e8e6; --soft: #a2a8b4; --line: #343842; --accent: #6db3f2; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html, body { height: 100%; }
body { margin: 0; display: flex; flex-direction: column; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 18px; padding: 10px 16px; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.15rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 18px 0 6px; }
p { margin: 0; } #facts, .note { color: var(--soft); overflow-wrap: anywhere; } #facts { flex: 1 1 240px; } .note { font-size: .88rem; }
select, button, input, #map-room, #map-card { background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
select, button, input { font: inherit; color: inherit; padding: 4px 10px; max-width: 100%; }
.cell span, .near span, #map-classes li { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
button { cursor: pointer; } button:hover { border-color: var(--accent); } button[aria-pressed=true] { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
select { max-width: 220px; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
main { flex: 1; min-height: 0; display: grid; grid-template-columns: minmax(0, 1fr); }
main.split { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
#library { min-height: 0; display: flex; flex-direction: column; } #room { flex: 1; min-height: 0; position: relative; }
#map-part { margin: 0; padding: 8px 12px; border-bottom: 1px solid var(--line); }
/* Opaque what scrolls: browsers then move what is drawn, and do not draw all of it for each frame. */
#grid { position: absolute; inset: 0; overflow-y: auto; overflow-x: hidden; background: var(--paper); }
#grid > div { position: relative; }
.cell { position: absolute; contain: strict; margin: 0; padding: 4px; cursor: pointer; border-radius: 8px; overflow: hidden; }
.cell img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 6px; background: var(--line); }
.cell span { display: block; font-size: .78rem; line-height: 20px; height: 20px; color: var(--soft); text-align: center; }
.cell.active { box-shadow: inset 0 0 0 2px var(--accent); } .cell[aria-selected=true] span { color: var(--ink); } .cell[aria-selected=true] { background: color-mix(in srgb, var(--accent) 24%, transparent); }
#detail { min-height: 0; overflow-y: auto; background: var(--paper); border-left: 1px solid var(--line); padding: 12px 16px 30px; }
.bar { display: flex; flex-wrap: wrap; align-items: center; gap: 8px; margin: 8px 0; } .title { display: flex; gap: 10px; align-items: start; justify-content: space-between; }
.photo { position: relative; margin: 8px 0; touch-action: none; background: var(--line); border-radius: 6px; overflow: hidden; max-width: 760px; }
.photo.draws { cursor: crosshair; }
.photo img { display: block; width: 100%; height: auto; user-select: none; -webkit-user-drag: none; }
.photo svg, .photo canvas { position: absolute; inset: 0; width: 100%; height: 100%; } .photo canvas { pointer-events: none; object-fit: contain; }
.edge-back, .edge { fill: none; vector-effect: non-scaling-stroke; stroke-linecap: square; pointer-events: none; }
.edge-back { stroke: #000; stroke-width: 4.5; opacity: .65; } .edge { stroke: var(--mark); stroke-width: 2.2; }
.other { fill: transparent; stroke: #fff; stroke-width: 1.2; stroke-dasharray: 4 4; vector-effect: non-scaling-stroke; cursor: pointer; opacity: .75; }
.other:hover, .other:focus-visible { stroke: var(--mark); opacity: 1; outline: none; stroke-width: 2.5; }
.drawn { fill: color-mix(in srgb, var(--mark) 18%, transparent); stroke: var(--mark); stroke-width: 2; vector-effect: non-scaling-stroke; pointer-events: none; }
.lists { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 0 18px; } .lists h3 { overflow-wrap: anywhere; } .near { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(auto-fill, minmax(148px, 1fr)); gap: 10px; }
.near button { display: block; width: 100%; padding: 5px; text-align: left; } .near .photo { margin: 0 0 4px; }
.near .photo img { height: 112px; object-fit: contain; }
.near b { font-variant-numeric: tabular-nums; } .near span { display: block; font-size: .84rem; } .near span.note { font-size: .76rem; }
.heads { display: grid; grid-template-columns: repeat(auto-fill, minmax(110px, 1fr)); gap: 8px; } .heads figure { margin: 0; } .heads figcaption { font-size: .78rem; color: var(--soft); } .heads .photo { margin: 0; }
details { margin-top: 18px; } summary { cursor: pointer; font-weight: 600; }
#map-room { position: relative; height: 38vh; overflow: hidden; }
#map, #map-marks { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
#map { color: var(--soft); touch-action: none; cursor: grab; border-radius: 6px; } #map:active { cursor: grabbing; } #map:focus-visible { outline-offset: -3px; }
#map-part:has(#map-lasso[aria-pressed=true]) #map { cursor: crosshair; } #map-marks { color: var(--ink); pointer-events: none; }
#map-card { position: absolute; pointer-events: none; padding: 4px; max-width: 128px; font-size: .78rem; text-align: center; }
#map-card img { display: block; width: 88px; height: 88px; object-fit: contain; margin: 0 auto; } #map-card span { overflow-wrap: anywhere; }
#map-classes { list-style: none; margin: 6px 0 2px; padding: 0; display: flex; flex-wrap: wrap; gap: 0 14px; max-height: 3.2em; overflow: hidden; } #map-classes li { max-width: 200px; }
#map-classes i { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px; }
#said { position: fixed; left: 12px; bottom: 12px; max-width: calc(100% - 24px); display: flex; flex-direction: column; align-items: start; gap: 6px; }
#said p { background: var(--ink); color: var(--paper); padding: 6px 12px; border-radius: 6px; overflow-wrap: anywhere; } #said p:empty { display: none; }
.dropping body { outline: 4px dashed var(--accent); outline-offset: -6px; }
@media (max-width: 860px) { main.split { grid-template-columns: minmax(0, 1fr); } main { position: relative; } main.split #library { visibility: hidden; } #detail { position: absolute; inset: 0; border-left: 0; padding: 10px 12px 30px; }
  .near { grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); } header { padding: 8px 12px; gap: 4px 10px; } header select { max-width: 130px; } #facts { flex-basis: 100%; } }
@media (prefers-reduced-motion: no-preference) { .cell img { transition: opacity .12s; } }
`;
