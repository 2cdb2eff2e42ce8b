"use strict";
// Tables sort and filter; all details are opened for printing; a player that cannot play its file shows a message.

function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === ""); // missing values go last in either direction
  const x = Number(a), y = Number(b);
  if (!Number.isNaN(x) && !Number.isNaN(y)) return sign * (x - y);
  return sign * a.localeCompare(b, "en", { numeric: true });
}

function sort(table, column, direction) {
  const body = table.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const rows = Array.from(body.rows, (row) => [row.cells[column].dataset.key, row]);
  rows.sort((a, b) => compare(a[0], b[0], sign)); // stable: equal rows keep their order
  body.append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      for (const other of heads) other.setAttribute("aria-sort", other === head ? direction : "none");
      sort(table, column, direction);
    });
  });
}

for (const form of document.querySelectorAll("form[data-filter]")) {
  const rows = Array.from(document.getElementById(form.dataset.filter).tBodies[0].rows);
  const heads = Array.from(document.getElementById(form.dataset.filter).tHead.rows[0].cells);
  const stateColumn = heads.findIndex((head) => head.textContent.trim() === "state");
  const texts = rows.map((row) => Array.from(row.cells, (cell) => cell.textContent).join(" ").toLowerCase());
  const states = rows.map((row) => row.cells[stateColumn].textContent);
  const filter = () => {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = form.elements.state.value;
    let count = 0;
    rows.forEach((row, index) => {
      const fits = (!state || states[index] === state) && words.every((word) => texts[index].includes(word));
      row.hidden = !fits;
      count += fits;
    });
    form.querySelector("output").textContent = `${count} of ${rows.length}`;
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter(); // a browser may restore what was typed before a reload
}

let closed = [];
window.addEventListener("beforeprint", () => {
  closed = Array.from(document.querySelectorAll("details:not([open])"));
  for (const details of closed) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});

for (const player of document.querySelectorAll("video, audio")) {
  const showMessage = () => { player.hidden = true; player.nextElementSibling.hidden = false; };
  player.addEventListener("error", showMessage);
  if (player.error) showMessage();
}
