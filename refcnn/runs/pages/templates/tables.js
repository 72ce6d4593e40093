"use strict";
// Tables of the class "sortable" are sorted by a column when the button in its heading is pressed.
(() => {
  const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const compare = (one, other) => {
    const numbers = [Number(one), Number(other)];
    return numbers.some(Number.isNaN) ? one.localeCompare(other, undefined, { numeric: true }) : numbers[0] - numbers[1];
  };

  function sort(table, column) {
    const heading = table.tHead.rows[0].cells[column];
    const isDescending = heading.getAttribute("aria-sort") === "ascending";
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => compare(valueOf(one, column), valueOf(other, column)));
    body.append(...(isDescending ? rows.reverse() : rows));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const cell of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...cell.childNodes);
      button.addEventListener("click", () => sort(table, cell.cellIndex));
      cell.append(button);
    }
  }
})();
