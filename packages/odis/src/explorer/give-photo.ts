import { byId, el } from "./dom.js";

/**
 * Lets somebody give a photograph of their own: drop it anywhere on the page, or choose it by a
 * button.
 */
export function givePhotos(give: (file: File) => void): void {
  const input = el("input", {
    type: "file",
    accept: "image/*",
    hidden: true,
    "aria-label": "A photograph of yours",
  });
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    input.value = ""; // the same file can be given again
    if (file) give(file);
  });
  const button = el(
    "button",
    {
      type: "button",
      title: "Choose a photograph, or drop one anywhere on this page",
      onclick: () => input.click(),
    },
    "Your photo",
  );
  byId("map-button").after(button, input);
  const page = document.documentElement;
  const carries = ({ dataTransfer }: DragEvent): boolean =>
    dataTransfer?.types.includes("Files") ?? false;
  addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    page.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) page.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    page.classList.remove("dropping");
    if (!carries(event)) return;
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) give(file);
  });
}
