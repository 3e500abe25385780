"""Tools: functions of yours that the assistant calls in the middle of a conversation.

    python examples/tools.py
    python examples/tools.py "where is order forty"

Names, types and docstrings are what a model reads of them. Offline a few rules choose the tool, on AWS a language
model does; the tools stay as they are.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Annotated, Literal

import voiceloop as vl
from voiceloop.local import EspeakSynthesizer, PocketSphinx, Rules

SHOP = """
[talk]
name = "shop"
about = "I am a set of rules that looks after the orders of a shop."
can = "find an order, and change its delivery"
examples = ["where is order twelve"]

[types]
number = { number = [1, 99] }
speed = { choices = ["standard", "express"] }

[intent.find]
patterns = ["where is [my] order [number] [{number}]"]
tool = "find_order"
reply = "Order {number} is {place}."
failed = "I am sorry, I know of no order {number}."
slots = { number = { ask = "Which number?" } }

[intent.change]
patterns = ["(send | make) order [number] {number} {speed}"]
tool = "change_delivery"
reply = "Order {number} is {result} now."
slots = { number = {}, speed = {} }

[intent.bye]
patterns = ["goodbye"]
tool = "hang_up"
reply = "Goodbye."
"""

ORDERS = {12: "in Denver", 40: "at your door"}


@vl.tool(timeout=5)
async def find_order(number: Annotated[int, "the order's number"]) -> dict[str, str]:
    """Find out where an order is."""
    await asyncio.sleep(0.3)  # a database: meanwhile the conversation goes on
    if number not in ORDERS:
        raise LookupError(f"there is no order {number}.")  # the assistant is told, and nothing breaks
    return {"place": ORDERS[number]}


@vl.tool
def change_delivery(number: int, speed: Literal["standard", "express"]) -> str:
    """Change how an order is sent."""
    return speed  # a function that is not async runs in a thread of its own


@vl.tool
async def hang_up(context: vl.ToolContext) -> str:
    """End the call, when the user says goodbye."""
    await context.session.end()  # the context is given by the session, the model does not see it
    return "ok"


async def main(sentences: list[str]) -> None:
    print(f"what a model reads of find_order: {find_order.description} {find_order.schema}\n")
    model = vl.Cascade(PocketSphinx(), Rules(SHOP), EspeakSynthesizer())
    async with vl.Session(model, tools=[find_order, change_delivery, hang_up], lead=None) as session:
        waiting = iter([*sentences, "goodbye"])
        print(f"you:       {sentences[0]}")
        await session.send_text(next(waiting))
        async for event in session:
            match event:
                case vl.ToolCalled():
                    print(f"           calls {event.name}({dict(event.arguments)})")
                case vl.ToolReturned():
                    print(f"           {'failed' if event.error else 'gets'}: {event.result}  ({event.ms:.0f} ms)")
                case vl.TurnEnded():
                    print(f"assistant: {event.said}")
                    if sentence := next(waiting, None):  # the last is "goodbye", and hangs up
                        print(f"you:       {sentence}")
                        await session.send_text(sentence)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = ["where is my order", "twelve", "send order twelve express", "where is order thirteen"]
    parser.add_argument("sentences", nargs="*", default=usual)
    asyncio.run(main(parser.parse_args().sentences))
