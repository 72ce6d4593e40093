"use strict";
// The confusion matrix: its classes in another order when that is asked for, and what a cell says in words.
(() => {
  const confusion = JSON.parse(document.getElementById("data").textContent).confusion;
  const table = document.getElementById("matrix");
  const button = document.getElementById("sort-matrix");
  const told = document.getElementById("matrix-cell");
  // Before the columns of the classes stand their names and how many images they have.
  const before = 2;
  const headings = [...table.tHead.rows[0].cells].slice(before);
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, cells: [...row.cells].slice(before) }));
  const given = confusion.names.map((_, index) => index);
  let order = given;

  function arrange() {
    table.tHead.rows[0].append(...order.map((index) => headings[index]));
    for (const { row, cells } of rows) row.append(...order.map((index) => cells[index]));
    table.tBodies[0].append(...order.map((index) => rows[index].row));
  }

  button.hidden = false;
  button.addEventListener("click", () => {
    order = order === given ? confusion.order : given;
    button.setAttribute("aria-pressed", String(order !== given));
    arrange();
  });

  table.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td");
    if (cell === null || cell.cellIndex < before) return;
    const [label, predicted] = [order[cell.parentElement.rowIndex - 1], order[cell.cellIndex - before]];
    const counts = confusion.counts[label];
    const total = counts.reduce((sum, count) => sum + count, 0);
    const share = total ? ` (${((100 * counts[predicted]) / total).toFixed(1)} %)` : "";
    const what = label === predicted ? "recognised" : `taken for ${confusion.names[predicted]}`;
    told.textContent = `${confusion.names[label]} ${what}: ${counts[predicted]} of ${total}${share}`;
  });
})();
