"use strict";
const box = document.getElementById("search"), results = document.getElementById("search-results");

document.getElementById("theme").onclick = () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
};

document.getElementById("menu").onclick = (event) => {
  event.currentTarget.setAttribute("aria-expanded", document.body.classList.toggle("open"));
};

const SAME = { vpred: ["velocity", "kind"], "v-prediction": ["kind"], cfg: ["classifier-free"], "text-to-image": ["guidance"], folder: ["pictures"],
  jpg: ["jpeg", "pictures"], png: ["picture"], dataset: ["data"], image: ["picture"], images: ["pictures"], checkpoint: ["save"], store: ["save"],
  inference: ["sampling", "samples"], denoiser: ["model"], vae: ["latent"], fid: ["frechet"], nll: ["likelihood", "bits per dimension"], bpd: ["bits per dimension"],
  cuda: ["gpu"], jupyter: ["notebook"], colab: ["notebook"], custom: ["own"], scheduler: ["schedule", "sampler"], resume: ["train on"], gif: ["animation"] };

function found(text) {  // sections that hold all words or words of the same meaning, those with a word in the title first
  const words = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => [word, ...(SAME[word] || [])]);
  const holds = (text, same) => same.some((word) => text.toLowerCase().includes(word));
  const score = (entry) => words.reduce((sum, same) => sum + 4 * holds(entry.title, same) + holds(entry.page, same), 0);
  const all = SECTIONS.filter((entry) => words.every((same) => holds(`${entry.title} ${entry.page} ${entry.text}`, same)));
  return words.length ? all.sort((a, b) => score(b) - score(a)).slice(0, 12) : [];
}

function excerpt(entry, text) {
  const at = entry.text.toLowerCase().indexOf(text.toLowerCase().split(/\s+/)[0]);
  return entry.text.slice(Math.max(0, at - 40), Math.max(0, at - 40) + 130);
}

function line(entry, text) {
  const link = document.createElement("a"), small = document.createElement("small");
  link.href = box.dataset.root + entry.at;
  link.textContent = entry.title === entry.page ? entry.title : `${entry.title} · ${entry.page}`;
  small.textContent = excerpt(entry, text);
  link.append(small);
  return link;
}

box.oninput = () => {
  const text = box.value.trim(), entries = found(text), none = document.createElement("p");
  none.textContent = "Nothing found.";
  results.replaceChildren(...(entries.length ? entries.map((entry) => line(entry, text)) : [none]));
  results.hidden = !text;
};

document.onkeydown = (event) => {
  if (event.key === "/" && document.activeElement !== box) { event.preventDefault(); box.focus(); }
  if (event.key === "Escape") { results.hidden = true; box.blur(); }
  if (event.key === "Enter" && document.activeElement === box) results.querySelector("a")?.click();
};

document.onclick = (event) => { if (!event.target.closest("#search-results, #search")) results.hidden = true; };

for (const pre of document.querySelectorAll("main pre.code")) {
  const around = document.createElement("div"), button = document.createElement("button"), text = pre.textContent;
  around.className = "copied";
  button.className = "copy";
  button.textContent = "Copy";
  button.onclick = async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  pre.replaceWith(around);
  around.append(pre, button);
}
