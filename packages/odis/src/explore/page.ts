/** Nothing but the page's own files, no markup made of text. */
const policy =
  "default-src 'none'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; base-uri 'none'; form-action 'none'";

/** What a page may do that a server of odis answers; nobody may frame it. */
export const servedPolicy = `${policy}; script-src 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'`;

/** What a page of files may do: it starts a worker that compiles WebAssembly. */
const filesPolicy = `${policy}; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'`;

/**
 * The page before its script runs; everything else is made of the store, as text, never as markup.
 *
 * @param library who answers it: a server of odis, or files beside it
 */
export const page = (library: "served" | "files"): string => `<!doctype html>
<html lang="en" data-library="${library}">
<head>
<meta charset="utf-8">${
  library === "files"
    ? `
<meta http-equiv="Content-Security-Policy" content="${filesPolicy}">`
    : ""
}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>odis explore</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="style.css">
<script type="module" src="explorer/main.js"></script>
</head>
<body>
<header>
<h1 id="name">odis explore</h1>
<p id="facts">loading</p>
<button id="map-button" type="button" aria-expanded="false" aria-controls="map-part">Map</button>
<label>Class <select id="class"><option value="">all</option></select></label>
</header>
<main>
<section id="library" aria-label="Library">
<figure id="map-part" hidden>
<div class="bar">
<button id="map-lasso" type="button" aria-pressed="false">Lasso</button>
<button id="map-closer" type="button" aria-label="Nearer">+</button>
<button id="map-farther" type="button" aria-label="Farther">−</button>
<button id="map-whole" type="button">Whole map</button>
<button id="map-sight" type="button">List what is in sight</button>
<button id="map-all" type="button" hidden>Show all</button>
</div>
<div id="map-room"><canvas id="map" tabindex="0" role="application" aria-label="All objects on a plane: what is alike lies near" aria-describedby="map-note"></canvas><canvas id="map-marks" aria-hidden="true"></canvas><div id="map-card" aria-live="polite" hidden></div></div>
<figcaption><ul id="map-classes" class="note"></ul><p id="map-note" class="note"></p></figcaption>
</figure>
<div id="room">
<div id="grid" tabindex="0" role="listbox" aria-label="Objects"></div>
</div>
</section>
<section id="detail" aria-label="Object" hidden></section>
</main>
<div id="said"><p id="progress" role="status"></p><p id="status" role="status"></p></div>
<noscript><p>This page needs JavaScript, all of which lies beside it.</p></noscript>
</body>
</html>
`;

/** In the browser's tab: an object, marked. */
export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1f6fb4"/><path d="M4 9l3-5 5 3-1 5H6z" fill="none" stroke="#ffd23f" stroke-width="2"/></svg>`;
