// Reading the page's data and putting the parts together.

function drawNotes(page) {
  const cut = page.groups.filter((group) => group.num_shown < group.num_episodes);
  if (!cut.length) return;
  const told = cut.map((group) => `${words(group.name)}: the first ${group.num_shown.toLocaleString("en")} of ${group.num_episodes.toLocaleString("en")}`);
  byId("notes").append(el("p", { class: "warning", id: "cut" },
    `Not every episode is in this page, which would be too large. ${told.join("; ")}. The plots${page.report ? " and tables" : ""} count them all.`));
}

function listenToKeys(list) {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.target instanceof Element && event.target.matches("input, select, textarea")) return;
    const isList = event.target instanceof Element && event.target.closest(".rows");
    if (event.key === "j" || (isList && event.key === "ArrowDown")) list.go(1);
    else if (event.key === "k" || (isList && event.key === "ArrowUp")) list.go(-1);
    else if (event.key === "/") byId("filter-text").focus();
    else return;
    event.preventDefault();
  });
}

function start() {
  const page = JSON.parse(byId("data").textContent);
  drawHeadline(page);
  drawTables(page);
  drawPlots(page);
  drawNotes(page);
  const list = new EpisodeList(page, (row) => drawEpisode(page, list, row));
  list.drawFilters();
  list.refresh();
  listenToKeys(list);
  window.addEventListener("hashchange", () => list.fromHash());
  if (!list.fromHash() && list.rows.length) list.show(0);
}

start();
