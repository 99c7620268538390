"""GraphiQL, whole from here: no other host is asked for a byte of it."""

from __future__ import annotations

import gzip
import html
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

# `hatch_build.py` puts it there; `graphiql/build.mjs` says what is in it.
BUNDLE = Path(__file__).parent / "static"

# A file is named by its contents, so what a name stands for never changes.
FOR_EVER = "public, max-age=31536000, immutable"

MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}

MISSING = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hefu · GraphiQL is missing</title>
<h1>The API is here; GraphiQL is not</h1>
<p>It is bundled when Hefu is installed, and Node.js or npm's registry was out of reach
then. Everything else works: <code>POST /graphql</code>.</p>
<p>To bundle it now, with Node.js 20 or newer, in the checkout:</p>
<pre>cd graphiql
npm ci --ignore-scripts
npm run build</pre>
<p>Then load this page again.</p>
<h1>接口可用，但缺少 GraphiQL</h1>
<p>GraphiQL 在安装合符时打包，当时无法获得 Node.js 或访问 npm。其余功能不受影响。
请用 Node.js 20 以上版本在代码目录中执行上面的命令，然后刷新本页。</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class Start:
    """What the page is filled in with; nothing secret, for whoever asks gets it."""

    appId: str = ""  # noqa: N815  As the page's script reads it.
    sources: tuple[str, ...] = ()
    phone: str = ""
    bindAccount: str = ""  # noqa: N815
    bindPassword: str = ""  # noqa: N815


class Page:
    """The page, and the files that it is made of."""

    def __init__(self, start: Start | None = None, *, bundle: Path = BUNDLE) -> None:
        self._start = html.escape(json.dumps(asdict(start or Start())))
        self._bundle = bundle
        self.routes = [Route("/graphql/assets/{name}", self.asset)]

    async def __call__(self, request: Request) -> Response:
        page = self._bundle / "page.html"
        if not page.exists():
            return HTMLResponse(MISSING)
        text = page.read_text(encoding="utf-8")
        return HTMLResponse(text.replace("{start}", self._start))

    async def asset(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        names = {path.name for path in self._bundle.glob("*.gz")}
        # Looked up, never joined: what is not listed cannot be reached by its path.
        if f"{name}.gz" not in names:
            return Response(status_code=404)
        compressed = (self._bundle / f"{name}.gz").read_bytes()
        headers = {"Cache-Control": FOR_EVER, "Vary": "Accept-Encoding"}
        media_type = MEDIA_TYPES[Path(name).suffix]
        if not _takes_gzip(request):
            body = gzip.decompress(compressed)
            return Response(body, headers=headers, media_type=media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(compressed, headers=headers, media_type=media_type)


def _takes_gzip(request: Request) -> bool:
    accepted = ",".join(request.headers.getlist("accept-encoding"))
    codings = (coding.replace(" ", "").lower() for coding in accepted.split(","))
    return any(
        name in {"gzip", "*"} and parameter not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
        for name, _, parameter in (coding.partition(";") for coding in codings)
    )
