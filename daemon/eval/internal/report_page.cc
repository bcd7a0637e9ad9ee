#include "daemon/eval/internal/report_page.h"

namespace shoal::eval::internal {

std::string_view report_head() {
  return R"page(<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Shoal: clustering results</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1100px;
  padding: 0 1em; color: #1c2630; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; }
p.note { color: #55626e; max-width: 70ch; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #dde3e8;
  white-space: nowrap; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
.pairs, .pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr));
  gap: 1.2em; margin-bottom: 1.2em; }
figure { margin: 0; } figcaption { color: #55626e; font-size: .9em; }
canvas, svg { border: 1px solid #dde3e8; width: 100%; height: auto; }
.sheet { display: flex; flex-wrap: wrap; gap: 3px; align-items: center;
  margin: .3em 0; }
.sheet b { flex: 0 0 16em; font-weight: 400; }
.sheet img { width: 48px; height: 48px; object-fit: cover; }
</style></head><body>
)page";
}

std::string_view report_tail() {
  return R"page(<script>
const colour = i => i < 0 ? '#bbb'
  : `hsl(${(i * 137.508) % 360} ${60 + (i % 3) * 15}% ${38 + (i % 4) * 8}%)`;
for (const pair of document.querySelectorAll('[data-map]')) {
  const map = JSON.parse(pair.dataset.map);
  const { x, y } = map;
  for (const canvas of pair.querySelectorAll('canvas')) {
    const labels = map[canvas.dataset.by];
    const context = canvas.getContext('2d');
    const size = canvas.width, edge = 8;
    const low = [Math.min(...x), Math.min(...y)];
    const span = Math.max(Math.max(...x) - low[0], Math.max(...y) - low[1]) || 1;
    x.forEach((value, i) => {
      context.fillStyle = colour(labels[i]);
      context.beginPath();
      context.arc(edge + (value - low[0]) / span * (size - 2 * edge),
        edge + (y[i] - low[1]) / span * (size - 2 * edge), 2.5, 0, 7);
      context.fill();
    });
  }
}
</script></body></html>
)page";
}

}  // namespace shoal::eval::internal
