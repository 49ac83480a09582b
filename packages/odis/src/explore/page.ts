/** The page before its script runs; everything else is made of the store, as text, never as markup. */
export const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>odis explore</title>
<link rel="stylesheet" href="/style.css">
<script type="module" src="/explorer/main.js"></script>
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
<figure id="map-part" hidden><canvas id="map" role="img" aria-label="All objects on a plane: what is alike lies near"></canvas><figcaption id="map-note" class="note"></figcaption></figure>
<div id="room">
<div id="grid" tabindex="0" role="listbox" aria-label="Objects"></div>
</div>
</section>
<section id="detail" aria-label="Object" hidden></section>
</main>
<p id="status" role="status"></p>
<noscript><p>This page needs JavaScript, which is served by odis itself.</p></noscript>
</body>
</html>
`;

/** In the browser's tab: an object, marked. */
export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1f6fb4"/><path d="M4 9l3-5 5 3-1 5H6z" fill="none" stroke="#ffd23f" stroke-width="2"/></svg>`;
