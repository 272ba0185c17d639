#!/usr/bin/env python3
"""Answers of model servers, through the whole program.

Serves each body at a loopback address and runs `rustic-ai chat --output json --max-rounds 1`
against it. Those of answers.json were written by hand; a folder with recorded ones and their
expected.json may be named in RUSTIC_PROVIDER_FIXTURES.

usage: recorded_test.py PROGRAM [--only PART] [--jobs N] [--every BYTES]
"""
import argparse
import concurrent.futures
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
ONE_RUN_S_MAX = 60


class Server(http.server.ThreadingHTTPServer):
    """Answers every POST below /CASE/ with that case's body; a GET is refused."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.cases = {}
        self.posts = {}
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # the program closes connections that it does not need any more

    @property
    def port(self):
        return self.server_address[1]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.split("/")[1]
        case = self.server.cases[name]
        with self.server.lock:
            self.server.posts[name] = self.server.posts.get(name, 0) + 1
        body, cut, at = case["body"], case.get("cut"), case.get("at")
        self.send_response(case["status"])
        self.send_header("Content-Type", case["content_type"])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if cut is not None:
            self.chunk(body[:cut])
            self.close_connection = True
            return  # the last chunk is missing: the connection broke
        if at is not None:
            self.chunk(body[:at])
            self.wfile.flush()
            self.chunk(body[at:])
        else:
            self.chunk(body)
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data):
        if data:
            self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")


def section(case, port, name):
    """The [providers.p] that fits a case."""
    base = f"http://127.0.0.1:{port}/{name}"
    dialect, folder = case["dialect"], case["file"].split("/")[0]
    one = {"base_url": base, "model": "m"}
    if dialect == "anthropic":
        one["type"] = "anthropic"
    elif dialect == "gemini":
        one["type"] = "google"
    elif dialect == "ollama":
        one["type"] = "ollama"
    else:
        one["type"] = {"azure": "azure", "xai": "grok", "zai": "zai", "openai-chat": "openai",
                       "openai-responses": "openai"}.get(folder, "custom")
        one["base_url"] += "/v1"
        if dialect == "responses":
            one["api"] = "responses"
    return one


def run(program, home, settings):
    command = [program, "chat", "--output", "json", "--max-rounds", "1", "--permission-mode",
               "read-only"]
    for key, value in settings.items():
        command += ["--set", f"providers.p.{key}={json.dumps(value)}"]
    command += ["--set", "resilience.retries=0", "hello"]
    work = tempfile.mkdtemp(dir=home)
    env = {"HOME": work, "PATH": os.environ["PATH"], "TERM": "dumb"}
    done = subprocess.run(command, cwd=work, env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=ONE_RUN_S_MAX, check=False)
    shutil.rmtree(work, ignore_errors=True)
    try:
        out = json.loads(done.stdout)
    except ValueError:
        out = None
    return done.returncode, out, done.stdout + done.stderr


NORMAL = {"stop": "stop", "end_turn": "stop", "STOP": "stop", "completed": "stop",
          "stop_sequence": "stop", "eos": "stop", "": "stop",
          "length": "length", "max_tokens": "length", "MAX_TOKENS": "length",
          "incomplete:max_output_tokens": "length", "tool_calls": "tool_calls",
          "tool_use": "tool_calls", "function_call": "tool_calls", "refusal": "content_filter",
          "content_filter": "content_filter", "SAFETY": "content_filter",
          "RECITATION": "content_filter", "PROHIBITED_CONTENT": "content_filter"}


def arguments_of(value):
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def differences(case, code, out):
    """What is not as expected; empty when all is."""
    want = case["expect"]
    bad = []
    if out is None:
        return ["no JSON object on stdout"]
    if case.get("http_status", 200) >= 400 or want.get("errors"):
        if code == 0 or not out.get("error"):
            bad.append(f"expected an error, exit status {code}")
        elif not out["error"].get("message"):
            bad.append("an error without a message")
        return bad
    text = (want.get("text") or "") + (want.get("refusal") or "")
    if out["text"] != text:
        bad.append(f"text: {out['text']!r}, expected {text!r}")
    if want.get("stop") is None and not case.get("complete"):
        return bad  # whether such an answer is complete differs from server to server
    got, wanted = out["tool_calls"], want.get("tool_calls") or []
    if [one["name"] for one in got] != [one["name"] for one in wanted]:
        bad.append(f"calls: {[one['name'] for one in got]}, expected {[o['name'] for o in wanted]}")
    else:
        for mine, theirs in zip(got, wanted):
            if theirs.get("id") and mine["id"] != theirs["id"]:
                bad.append(f"id {mine['id']!r}, expected {theirs['id']!r}")
            if not mine["id"]:
                bad.append("a call without an id")
            expected = theirs.get("arguments")
            if expected is None:
                expected = theirs.get("arguments_raw")
            if expected is not None and arguments_of(mine["arguments"]) != arguments_of(expected):
                bad.append(f"arguments {mine['arguments']!r}, expected {expected!r}")
    stop = want.get("stop")
    reason = NORMAL.get(stop)
    if want.get("refusal"):
        reason = "content_filter"
    if wanted and reason in ("stop", "tool_calls"):
        reason = "tool_calls"
    if reason is not None and out["finish_reason"] != reason:
        bad.append(f"finish_reason {out['finish_reason']!r}, expected {reason!r} ({stop})")
    usage = want.get("usage") or {}
    mine = out.get("usage") or {}
    if usage.get("input") is not None:
        total = usage["input"]
        if case["dialect"] == "anthropic":
            total += (usage.get("cached_input") or 0) + (usage.get("cache_write") or 0)
        if case["dialect"] == "gemini":  # what its own tools read is input, too
            total += (want.get("usage_raw") or {}).get("toolUsePromptTokenCount", 0)
        if mine.get("input_tokens") != total:
            bad.append(f"input_tokens {mine.get('input_tokens')}, expected {total}")
        least = usage.get("output") or 0
        if not least <= mine.get("output_tokens", -1) <= least + (usage.get("reasoning") or 0) + 1:
            bad.append(f"output_tokens {mine.get('output_tokens')}, expected {least}")
        for key, name in (("cached_input", "cache_read_tokens"),
                          ("cache_write", "cache_write_tokens")):
            if usage.get(key) and mine.get(name) != usage[key]:
                bad.append(f"{name} {mine.get(name)}, expected {usage[key]}")
    return bad


def load(listing):
    cases = []
    for case in json.loads(listing.read_text())["cases"]:
        if not case.get("dialect") or not case.get("expect"):
            continue
        body = case.get("body")
        case["body"] = body.encode() if body else (listing.parent / case["file"]).read_bytes()
        case["status"] = case.get("http_status", 200)
        case["content_type"] = (case.get("http_headers") or {}).get(
            "content-type", "text/event-stream" if case["kind"] == "sse" else "application/json")
        cases.append(case)
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=0,
                        help="also split and cut each body at every BYTES bytes")
    options = parser.parse_args()
    listings = [HERE / "answers.json"]
    if "RUSTIC_PROVIDER_FIXTURES" in os.environ:
        listings.append(pathlib.Path(os.environ["RUSTIC_PROVIDER_FIXTURES"]) / "expected.json")
    cases = [case for one in listings for case in load(one) if options.only in case["file"]]
    server = Server()
    home = tempfile.mkdtemp(prefix="rustic-recorded-")
    failed = []

    def one(number, case, how):
        name = f"c{number}"
        server.cases[name] = {**case, **how}
        code, out, raw = run(options.program, home, section(case, server.port, name))
        if "cut" in how:
            # What lacks more than the end of its stream is an error. 6: the calls were not run.
            good = out is not None and (code in (0, 6)) == (out.get("error") is None)
            bad = [] if good else [f"exit status {code}"]
        else:
            bad = differences(case, code, out)
        asked = server.posts.get(name, 0)
        # A conversation that is too long is shortened, and asked again once, unless some of the
        # answer has been shown.
        if asked > (2 if out is not None and out.get("error") and not out["text"] else 1):
            bad.append(f"asked {asked} times")
        return case["file"], how, bad, raw

    jobs = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for case in cases:
            jobs.append(pool.submit(one, len(jobs), case, {}))
            if options.every:
                for at in range(1, len(case["body"]), options.every):
                    jobs.append(pool.submit(one, len(jobs), case, {"at": at}))
                    jobs.append(pool.submit(one, len(jobs), case, {"cut": at}))
        for job in jobs:
            file, how, bad, raw = job.result()
            if bad:
                failed.append(file)
                print(f"{file} {how or ''}")
                for line in bad:
                    print(f"    {line}")
                print("    " + raw.decode("utf-8", "replace")[:600])
    shutil.rmtree(home, ignore_errors=True)
    print(f"{len(jobs)} answers, {len(failed)} not as expected")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
