"use strict";
// Follows an open wave: asks for its numbers every second and redraws bars and texts, until it has ended.
const EVERY = 1000;

function redraw(svg, parts) {
  const height = svg.getAttribute("height");
  svg.replaceChildren(...parts.map(([kind, x, width]) => {
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of Object.entries({class: kind, x, y: 0, width, height})) rect.setAttribute(name, value);
    return rect;
  }));
}

function length(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${String(Math.round(seconds % 60)).padStart(2, "0")} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function show(page, found) {
  const state = page.querySelector("[data-live=state]");
  state.textContent = found.reason || found.state;
  page.querySelector("[data-live=ended]").textContent = found.ended.toLocaleString("en");
  page.querySelector("[data-live=seconds]").textContent = length(found.seconds);
  for (const svg of document.querySelectorAll("[data-bar]")) {
    const task = found.tasks[svg.dataset.bar];
    if (task) redraw(svg, task.bar);
  }
  for (const cell of document.querySelectorAll("[data-text]")) {
    const task = found.tasks[cell.dataset.text];
    if (task && cell.textContent !== task.text) cell.textContent = task.text;
  }
}

async function follow(page) {
  try {
    const answer = await fetch(`/wave.json?id=${encodeURIComponent(page.dataset.wave)}`);
    if (answer.ok) {
      const found = await answer.json();
      show(page, found);
      if (found.state === "closed") return location.reload();
    }
  } catch {
    // The server does not answer now; it is asked again.
  }
  setTimeout(follow, EVERY, page);
}

const page = document.getElementById("live");
if (page && page.dataset.open === "yes") setTimeout(follow, EVERY, page);
