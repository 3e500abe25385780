"""A page of your own that talks: a face, a button and the words, on an assistant of your own.

python examples/talking_page/cafe.py
"""

from pathlib import Path

import uvicorn
from attrs import evolve
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Mount, Route

import voiceloop as vl
from voiceloop import presets
from voiceloop.local import Rules
from voiceloop.transports.web import create_app

HERE = Path(__file__).parent

CAFE = """
[talk]
name = "the café"
about = "I am a set of rules that makes coffee."
can = "make coffee"
examples = ["coffee for two please"]

[types]
cups = { number = [1, 9] }

[intent.brew]
patterns = ["[i (want | would like)] [(make | brew) [me]] [some] coffee [for {cups}] [please]", "yes [please]"]
tool = "brew"
reply = "{result}, for {cups}."

[intent.brew.slots.cups]
ask = "For how many?"
"""


@vl.tool
async def brew(cups: int) -> str:
    """Brew coffee.

    Args:
        cups: how many cups
    """
    return "Your coffee is on its way"


cafe = evolve(presets.local(rules=Rules(CAFE)), tools=(brew,), hello="Good morning. Would you like some coffee?")

app = Starlette(
    routes=[
        Route("/", lambda request: FileResponse(HERE / "index.html")),
        Route("/page.js", lambda request: FileResponse(HERE / "page.js")),
        Mount("/assistant", create_app([cafe])),
    ]
)

if __name__ == "__main__":
    print("Talk at http://127.0.0.1:8000")
    uvicorn.run(app, port=8000, ws="websockets-sansio", log_level="warning")
