"""Translators for tests: tiny untrained models, and an OpenAI-compatible server on the loopback."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SIZES = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1}
SIZES |= {
    f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in (("attention_heads", 2), ("ffn_dim", 32))
}


def pieces_of(texts: Iterable[str], size: int = 300) -> bytes:
    """Return a SentencePiece model trained on some texts."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=model, vocab_size=size, model_type="bpe", minloglevel=2,
        hard_vocab_limit=False, pad_id=-1,
    )  # fmt: skip
    return model.getvalue()


def save_marian(folder: Path, texts: Iterable[str], language_tokens: Iterable[str] = (), **languages: str) -> Path:
    """Save an untrained Marian model with some tokens such as `>>ukr<<`."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    model = pieces_of(texts)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    names = dict.fromkeys(["</s>", "<unk>", *language_tokens, *pieces, "<pad>"])
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(names)}))
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(model)
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"),
        str(folder / "target.spm"),
        str(folder / "vocab.json"),
        model_max_length=64,
        **languages,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    pad = tokenizer.pad_token_id
    config = MarianConfig(
        vocab_size=len(names), pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=0,
        max_position_embeddings=64, init_std=0.5, **SIZES,
    )  # fmt: skip
    MarianMTModel(config).save_pretrained(folder)
    return folder


def save_m2m100(folder: Path, texts: Iterable[str]) -> Path:
    """Save an untrained M2M100 model; it knows the languages that its tokenizer lists."""
    import sentencepiece
    from transformers import M2M100Tokenizer

    folder.mkdir(parents=True)
    model = pieces_of(texts)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    names = list(dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *pieces]))
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(names)}))
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"))
    return _save_m2m(folder, tokenizer, max(tokenizer.lang_code_to_id.values()) + 1)


def save_nllb(folder: Path, texts: Iterable[str]) -> Path:
    """Save an untrained NLLB model; it knows the languages that its tokenizer lists."""
    from tokenizers import SentencePieceBPETokenizer
    from transformers import NllbTokenizer

    trained = SentencePieceBPETokenizer()
    trained.train_from_iterator(
        texts, vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], show_progress=False
    )
    content = json.loads(trained.to_str())["model"]
    tokenizer = NllbTokenizer(vocab=content["vocab"], merges=[tuple(merge) for merge in content["merges"]])
    folder.mkdir(parents=True)
    return _save_m2m(folder, tokenizer, len(tokenizer))


def _save_m2m(folder: Path, tokenizer: Any, size: int) -> Path:
    import torch
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = M2M100Config(vocab_size=size, max_position_embeddings=64, init_std=0.5, **SIZES)
    M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


class Endpoint:
    """A server that answers chat completions by upper-casing the sentence.

    Attributes:
        asked: sentences asked for so far, in order.
        times: when.
        requests: headers and bodies so far.
        troubles: number of a request (from 1) → its status and headers, or `hang`, instead of an answer.
    """

    def __init__(self, answer: Callable[[str], str] = str.upper) -> None:
        self.asked: list[str] = []
        self.times: list[float] = []
        self.requests: list[tuple[Mapping[str, str], Any]] = []
        self.troubles: dict[int, tuple[int, Mapping[str, str], str] | str] = {}
        self._answer = answer
        self._lock = threading.Lock()
        self.ended = threading.Event()
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Stop listening."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def reply(self, headers: Mapping[str, str], body: Any) -> tuple[int, Mapping[str, str], Any]:
        """Return status, headers and content of the answer to one request."""
        text = body["messages"][-1]["content"]
        with self._lock:
            self.asked.append(text)
            self.times.append(time.monotonic())
            self.requests.append((dict(headers), body))
            trouble = self.troubles.get(len(self.asked))
        if trouble == "hang":
            self.ended.wait(20)
        elif trouble:
            status, extra, message = trouble
            return status, extra, {"error": {"message": message}}
        choice = {"message": {"role": "assistant", "content": self._answer(text)}, "finish_reason": "stop"}
        return 200, {}, {"model": "shouting-2026", "choices": [choice]}


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions":
            status, headers, content = 404, {}, {"error": "no such path"}
        else:
            status, headers, content = self.endpoint.reply(self.headers, body)
        answer = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass
