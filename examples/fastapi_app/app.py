"""A FastAPI service with a voice: its own address for a conversation, and voiceloop's page beside it.

    pip install fastapi
    python examples/fastapi_app/app.py

Talk in the browser at http://127.0.0.1:8000/assistant/, or by ``examples/websocket_client.py``.
"""

import argparse
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, WebSocket

import voiceloop as vl
from voiceloop import presets
from voiceloop.transports.web import StarletteSocket, create_app
from voiceloop.transports.websocket import converse, greeted

app = FastAPI()
stack = presets.local()
model = stack.model_for(None)  # nobody's keys are needed


@app.get("/opening-hours")
def opening_hours() -> dict[str, str]:
    """What the service did before it could talk."""
    return {"monday": "9 to 17"}


@app.websocket("/talk")
async def talk(websocket: WebSocket) -> None:
    """One connection is one session."""
    origin = websocket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != websocket.headers.get("host"):
        await websocket.close()  # a page of somebody else
        return
    await websocket.accept()
    socket = StarletteSocket(websocket)
    start = await greeted(socket)
    if start is None:
        return
    async with vl.Session(model, tools=stack.tools, speak=start.speaks, turns=start.turns) as session:
        await converse(socket, session, start=start)


app.mount("/assistant", create_app([stack]))  # the page, at /assistant/

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    print(f"Talk at http://127.0.0.1:{port}/assistant/ or ws://127.0.0.1:{port}/talk", flush=True)
    uvicorn.run(app, port=port, ws="websockets-sansio", log_level="warning")
