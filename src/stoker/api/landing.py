"""The page at `/`: what this server is and where to go on. One file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

MEDIA_TYPE = "text/html; charset=utf-8"

_STYLE = """
:root { color-scheme: light dark; --ink: #1f1a17; --soft: #6d625a; --paper: #faf7f2; --card: #fff; --line: #e6ddd1;
  --fire: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2ebe3; --soft: #a99c90; --paper: #171310; --card: #201b17;
  --line: #38302a; --fire: #fb923c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 4rem 1.5rem; }
h1 { font-size: 2.6rem; line-height: 1.1; margin: 0; letter-spacing: -.02em; }
h1 small { font-size: 1rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
.lead { font-size: 1.2rem; color: var(--soft); margin: .6rem 0 2.4rem; }
.up { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; background: var(--fire); }
h2 { font-size: 1rem; margin: 2.2rem 0 .7rem; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .7rem;
  grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); }
li a { display: block; height: 100%; padding: .9rem 1.1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; color: inherit; text-decoration: none; }
li a:hover, li a:focus-visible { border-color: var(--fire); outline: none; }
li b { display: block; color: var(--fire); font-family: ui-monospace, monospace; font-weight: 600; }
pre { margin: 0; padding: 1.1rem; overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; font: .9rem/1.7 ui-monospace, monospace; }
pre i { color: var(--soft); font-style: normal; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Stoker</title>
<style>{style}</style>
</head>
<body>
<main>
<h1><span class="up" title="This server is up"></span> Stoker <small>{version}</small></h1>
<p class="lead">A durable runtime for graphs of compute nodes. This server holds graphs, runs and tasks;
runners anywhere pull work from it. Nothing is lost when either side dies.</p>
<h2>Here</h2>
<ul>
<li><a href="{prefix}/v1/whoami"><b>/v1</b>The API, for clients with a token</a></li>
<li><a href="{prefix}/openapi.json"><b>/openapi.json</b>Its description, OpenAPI 3.1</a></li>
<li><a href="{prefix}/healthz"><b>/healthz</b>The process is up</a></li>
<li><a href="{prefix}/readyz"><b>/readyz</b>The store answers</a></li>
</ul>
{spoken}
<h2>First commands</h2>
<pre>stoker runner start pipeline.py    <i># run the nodes of a file, here or on another machine</i>
stoker run pipeline.py --watch     <i># run its graph on this server and print the result</i>
stoker runs list                   <i># see what became of every run</i>
stoker explain 1                   <i># and why</i></pre>
</main>
</body>
</html>
"""

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = (
    (b"content-security-policy", f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'".encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"vary", b"accept"),
)


def page(version: str, prefix: str, dialects: Sequence[str] = ()) -> bytes:
    spoken = f"<p>It also speaks {escape(' and '.join(dialects))}.</p>" if dialects else ""
    return _PAGE.format(style=_STYLE, version=escape(version), prefix=escape(prefix), spoken=spoken).encode()


def wants_json(accept: str) -> bool:
    """Whether a client accepts JSON and no page, as programs do and browsers do not."""
    return "application/json" in accept and "text/html" not in accept
