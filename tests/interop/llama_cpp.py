"""llama.cpp's own server, with a model made here that says what it is told to: nothing is downloaded.

Run by ``make interop`` with the Python of voiceloop as its argument, which then runs ``llama_turns.py`` against it.
The weights make a chain: each token is followed by the next of a list, by its embedding alone.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH, HEADS = 256, 4
ANSWER = ["Good", " day."]
CALLS = [
    '<tool_call>\n{"name": "opening", "arguments": {"day"',
    ': "Mon',
    'day"}}\n</tool_call>',
    '\n<tool_call>\n{"name": "opening",',
    ' "arguments": {"day": "Tuesday"}}\n</tool_call>',
]
# After a line end come the tool calls, after "!" the answer: the templates end a prompt with one of them.
USUAL = """
{%- if tools %}{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- '# Tools\\nYou may call functions. Their signatures are within <tools></tools>:\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools>\\nFor each call, return a JSON object within <tool_call></tool_call>:\\n<tool_call>\\n' }}
{{- '{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}{{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == 'assistant' %}{{- '<|im_start|>assistant\\n' + message.content }}
{%- if message.tool_calls %}{%- for call in message.tool_calls %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}
{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}
{%- if not tools or messages[-1].role == 'tool' %}{{- '!' }}{%- endif %}{%- endif %}
"""
# As in Mistral's, the roles have to alternate, and neither calls nor results count.
STRICT = """
{%- set seen = namespace(count=0) %}
{%- for message in messages %}
{%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
{%- if (message.role == 'user') != (seen.count % 2 == 0) %}
{{- raise_exception('After the optional system message, conversation roles must alternate user and assistant') }}
{%- endif %}{%- set seen.count = seen.count + 1 %}{%- endif %}
{%- endfor %}
""" + USUAL.lstrip()


def write(path: Path, template: str) -> None:
    """A model of one layer that does nothing: the last token alone decides."""
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", *letters]
    plain = len(tokens) - 259 + len(ANSWER) + len(CALLS)
    tokens += [*ANSWER, *CALLS]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 3 + [-1000.0] * 256 + [-float(at) for at in range(plain)])
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * plain)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(template)
    embeddings = np.random.default_rng(0).normal(0, 0.3, (len(tokens), WIDTH)).astype(np.float32)
    follows = np.zeros_like(embeddings)
    place = {token: at for at, token in enumerate(tokens)}
    for chain in (["!", *ANSWER, "</s>"], ["<0x0A>", *CALLS, "</s>"]):
        for one, other in pairwise(chain):
            follows[place[other]] += embeddings[place[one]] * 3
    writer.add_tensor("token_embd.weight", embeddings)
    writer.add_tensor("output.weight", follows)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def serve(path: Path) -> tuple[str, xllamacpp.Server]:
    """The URL of a server that runs until it is let go, and the server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames, params.port = ["127.0.0.1"], port
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 4096, 2, 1
    params.use_jinja, params.endpoint_slots, params.warmup = True, True, False
    return f"http://127.0.0.1:{port}/v1", xllamacpp.Server(params)


with tempfile.TemporaryDirectory() as folder:
    running = []
    for name, template in (("usual", USUAL), ("strict", STRICT)):
        path = Path(folder) / f"{name}.gguf"
        write(path, template)
        running.append(serve(path))
    turns = Path(__file__).with_name("llama_turns.py")
    code = subprocess.run([sys.argv[1], str(turns), *(url for url, _ in running)], check=False).returncode
    running.clear()
sys.exit(code)
