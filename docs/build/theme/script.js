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

function found(text) {  // sections that hold all words, those with a word in the title first
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const score = (entry) => words.reduce((sum, word) => sum + 4 * entry.title.toLowerCase().includes(word) + entry.page.toLowerCase().includes(word), 0);
  const all = SECTIONS.filter((entry) => words.every((word) => `${entry.title} ${entry.page} ${entry.text}`.toLowerCase().includes(word)));
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
