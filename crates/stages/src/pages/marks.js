// Marks on pairs: what a page of pairs keeps, counts, saves as pairs.csv and reads back. A pair has `first`, `second`, `verdict` and
// `show`, which is called when its verdict has changed.
const header = "first,second,verdict";
const verdicts = ["same", "not_same"];
const status = document.getElementById("status");
const pairs = [];
// Marks in a file that was read, on pairs that the page does not show.
let others = [];
let saved = true;

function tell() {
  const count = (verdict) => pairs.filter((pair) => pair.verdict === verdict).length;
  const [same, not] = verdicts.map(count);
  status.textContent = `${same + not} of ${pairs.length} pairs marked: ${same} the same, ${not} not` + (saved ? "" : "; not saved");
}

function mark(pair, verdict) {
  pair.verdict = verdict;
  pair.show();
}

function change(pair, verdict) {
  mark(pair, verdict);
  saved = false;
  tell();
}

function quoted(text) { return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text; }

document.getElementById("save").addEventListener("click", () => {
  const all = [...pairs.map((pair) => [pair.first, pair.second, pair.verdict]), ...others];
  const rows = all.map((row) => row.map(quoted).join(",") + "\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([header + "\n" + rows.join("")], { type: "text/csv" }));
  link.download = "pairs.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  saved = true;
  tell();
});

// Fields of a CSV, quoted ones with commas, quotes and breaks in them.
function parsed(text) {
  const rows = [[""]];
  for (let i = 0, inside = false; i < text.length; i++) {
    const row = rows.at(-1), c = text[i];
    if (inside && c === '"' && text[i + 1] === '"') { row[row.length - 1] += '"'; i++; }
    else if (c === '"') inside = !inside;
    else if (!inside && c === ",") row.push("");
    else if (!inside && c === "\n") rows.push([""]);
    else if (inside || c !== "\r") row[row.length - 1] += c;
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

document.getElementById("load").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  event.target.value = "";
  if (!file) return;
  const [first, ...rows] = parsed(await file.text());
  const wrong = rows.findIndex((row) => row.length !== 3 || !["", ...verdicts].includes(row[2]));
  const isOurs = first?.join(",") === header;
  if (!isOurs || wrong >= 0) {
    status.textContent = `${file.name}: ` + (isOurs ? `row ${wrong + 1} is no mark` : `expected the header ${header}`);
    return;
  }
  others = [];
  for (const [a, b, verdict] of rows) {
    const pair = pairs.find((pair) => pair.first === a && pair.second === b) ?? pairs.find((pair) => pair.first === b && pair.second === a);
    if (pair) mark(pair, verdict);
    else others.push([a, b, verdict]);
  }
  saved = true;
  tell();
});

addEventListener("beforeunload", (event) => { if (!saved) event.preventDefault(); });
