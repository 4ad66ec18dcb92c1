"""The frame of the report's page; `{title}` and `{body}` are put in."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root { --ink: #22303c; --soft: #68747e; --line: #dcdad4; --accent: #b4532a; }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 60rem;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif;
  color: var(--ink); background: #fbfaf7;
}
h1 {
  font-size: 1.6rem; line-height: 1.25; margin: 0 0 1.5rem;
  padding-bottom: .6rem; border-bottom: 3px solid var(--accent);
}
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td {
  padding: .4rem .5rem; text-align: right; border-bottom: 1px solid var(--line);
}
th[scope=row], tbody th { text-align: left; font-weight: 500; }
thead th { font-weight: 600; border-bottom: 2px solid var(--ink); }
th small { display: block; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; }
.columns { display: grid; gap: 0 2.5rem; }
@media (min-width: 42rem) { .columns { grid-template-columns: 1fr 1fr; } }
.note { color: var(--soft); font-size: .875rem; margin: .4rem 0 .8rem; }
img { display: block; width: 100%; height: auto; margin: .5rem 0 1rem;
  background: #fff; border: 1px solid var(--line); border-radius: 4px; }
article { margin: 1rem 0 2rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.systems { display: grid; gap: 1rem; }
@media (min-width: 42rem) {
  .systems { grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); }
}
.system p { margin: .1rem 0 .4rem; overflow-wrap: anywhere; }
.cer { float: right; color: var(--soft); font-size: .875rem; }
audio { width: 100%; height: 2.5rem; }
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
