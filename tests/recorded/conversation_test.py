#!/usr/bin/env python3
"""A conversation of three rounds with a server of each dialect, through the whole program: tools are
called and their results sent back, what a server wants back comes back as it was, and a recording of
the run replays to the same bytes without a server and without a secret in it.

usage: conversation_test.py PROGRAM [NAME...]
"""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

KEY = 'sk-planted-7f3a9c2e5b8d1f40'
CALLS = [('call_1', 'files_list', {'path': '.'}), ('call_2', 'files_read', {'path': 'notes.txt'})]
ANSWER = 'The notes say hello.'


def events(*objects, names=False, end=''):
    out = ''
    for one in objects:
        out += (f'event: {one["type"]}\n' if names else '') + f'data: {json.dumps(one)}\n\n'
    return out + end


def chat(turn):
    def chunk(delta, finish=None, **more):
        return {'id': f'c{turn}', 'model': 'm-1', 'choices': [{'index': 0, 'delta': delta, 'finish_reason': finish}], **more}
    usage = chunk({}, 'tool_calls' if turn < 2 else 'stop',
                  usage={'prompt_tokens': 10 + turn, 'completion_tokens': 5, 'total_tokens': 15 + turn})
    if turn == 2:
        return events(chunk({'content': ANSWER}), usage, end='data: [DONE]\n\n')
    id_, name, arguments = CALLS[turn]
    text = json.dumps(arguments)
    return events(chunk({'reasoning_content': f'thought-{turn}'}),
                  chunk({'tool_calls': [{'index': 0, 'id': id_, 'function': {'name': name, 'arguments': text[:5]}}]}),
                  chunk({'tool_calls': [{'index': 0, 'function': {'arguments': text[5:]}}]}), usage,
                  end='data: [DONE]\n\n')


def responses(turn):
    def item(place, content, done=False):
        return {'type': 'response.output_item.' + ('done' if done else 'added'), 'output_index': place, 'item': content}
    end = {'type': 'response.completed', 'response': {
        'id': f'r{turn}', 'model': 'm-1', 'status': 'completed', 'output': [],
        'usage': {'input_tokens': 10 + turn, 'output_tokens': 5}}}
    if turn == 2:
        return events(item(0, {'type': 'message', 'content': []}),
                      {'type': 'response.output_text.delta', 'output_index': 0, 'delta': ANSWER}, end, names=True)
    id_, name, arguments = CALLS[turn]
    call = {'type': 'function_call', 'call_id': id_, 'name': name, 'arguments': json.dumps(arguments)}
    sealed = {'type': 'reasoning', 'id': f'rs_{turn}', 'summary': [], 'encrypted_content': f'sealed-{turn}'}
    return events(item(0, sealed), item(0, sealed, True), item(1, {**call, 'arguments': ''}), item(1, call, True), end,
                  names=True)


def anthropic(turn):
    def block(place, start, *deltas):
        return [{'type': 'content_block_start', 'index': place, 'content_block': start},
                *({'type': 'content_block_delta', 'index': place, 'delta': one} for one in deltas),
                {'type': 'content_block_stop', 'index': place}]
    begin = {'type': 'message_start', 'message': {'id': f'm{turn}', 'model': 'm-1', 'usage': {'input_tokens': 10 + turn}}}
    def end(why):
        return [{'type': 'message_delta', 'delta': {'stop_reason': why}, 'usage': {'output_tokens': 5}}, {'type': 'message_stop'}]
    if turn == 2:
        parts = block(0, {'type': 'text', 'text': ''}, {'type': 'text_delta', 'text': ANSWER}) + end('end_turn')
    else:
        id_, name, arguments = CALLS[turn]
        parts = block(0, {'type': 'thinking', 'thinking': ''}, {'type': 'thinking_delta', 'thinking': 'hm'},
                      {'type': 'signature_delta', 'signature': f'sealed-{turn}'})
        parts += block(1, {'type': 'tool_use', 'id': id_, 'name': name, 'input': {}},
                       {'type': 'input_json_delta', 'partial_json': json.dumps(arguments)})
        parts += end('tool_use')
    return events(begin, *parts, names=True)


def paused(turn):
    """A tool of the server that takes long: the answer goes on when it comes back."""
    def block(place, content):
        return [{'type': 'content_block_start', 'index': place, 'content_block': content}, {'type': 'content_block_stop', 'index': place}]
    begin = {'type': 'message_start', 'message': {'id': f'm{turn}', 'model': 'm-1', 'usage': {'input_tokens': 10}}}
    if turn == 0:
        parts, why = block(0, {'type': 'text', 'text': 'I look. '}), 'pause_turn'
        parts += block(1, {'type': 'server_tool_use', 'id': 's1', 'name': 'web_search', 'input': {'query': 'q'}})
    else:
        parts, why = block(0, {'type': 'web_search_tool_result', 'tool_use_id': 's1', 'content': []}), 'end_turn'
        parts += block(1, {'type': 'text', 'text': 'Found.'})
    return events(begin, *parts, {'type': 'message_delta', 'delta': {'stop_reason': why}, 'usage': {'output_tokens': 5}},
                  {'type': 'message_stop'}, names=True)


def check_pause(program):
    home = pathlib.Path(tempfile.mkdtemp(prefix='rustic-conversation-'))
    server = Server(paused)
    settings = {'type': 'anthropic', 'base_url': f'http://127.0.0.1:{server.server_address[1]}', 'model': 'm'}
    try:
        code, live, errors = run(program, home, settings)
        result = json.loads(live.splitlines()[-1])['result']
        assert code == 0 and result['text'] == 'I look. Found.', f'{code} {live} {errors}'
        assert result['rounds'] == 2 and result['finish_reason'] == 'stop', result
        last = json.loads(server.asked[1])['messages'][-1]
        assert last['role'] == 'assistant' and last['content'][-1]['id'] == 's1', last
        code, live, errors = run(program, home, settings, '--continue')
        assert code == 0, f'{code} {live} {errors}'
        said = json.loads(server.asked[2])['messages'][1]['content']
        assert [one['type'] for one in said] == ['text', 'server_tool_use', 'web_search_tool_result', 'text'], said
        server.asked.clear()
        code, live, errors = run(program, home, settings, '--max-rounds', '1')
        result = json.loads(live.splitlines()[-1])['result']
        assert result['finish_reason'] == 'other' and result['limit'] == 'max_rounds', result
    finally:
        server.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def google(turn):
    def piece(parts, finish=None):
        one = {'candidates': [{'content': {'role': 'model', 'parts': parts}, 'index': 0}], 'modelVersion': 'm-1'}
        if finish:
            one['candidates'][0]['finishReason'] = finish
            one['usageMetadata'] = {'promptTokenCount': 10 + turn, 'candidatesTokenCount': 5}
        return one
    if turn == 2:
        return events(piece([{'text': ANSWER}], 'STOP'))
    _, name, arguments = CALLS[turn]
    return events(piece([{'text': 'hm', 'thought': True}]),
                  piece([{'functionCall': {'name': name, 'args': arguments}, 'thoughtSignature': f'c2VhbGVk{turn}A=='}], 'STOP'))


def ollama(turn):
    def line(**message):
        return {'model': 'm-1', 'message': {'role': 'assistant', 'content': '', **message}, 'done': False}
    end = {**line(), 'done': True, 'done_reason': 'stop', 'prompt_eval_count': 10 + turn, 'eval_count': 5}
    if turn == 2:
        lines = [line(content=ANSWER), end]
    else:
        _, name, arguments = CALLS[turn]
        lines = [line(thinking=f'thought-{turn}'), line(tool_calls=[{'function': {'name': name, 'arguments': arguments}}]), end]
    return ''.join(json.dumps(one) + '\n' for one in lines)


# name: the section of the configuration, the dialect, and what goes back in the next rounds.
SERVERS = {
    'openai': ({'type': 'openai'}, chat, 'thought-0'),
    'openai-responses': ({'type': 'openai', 'api': 'responses'}, responses, 'sealed-0'),
    'anthropic': ({'type': 'anthropic'}, anthropic, 'sealed-0'),
    'google': ({'type': 'google'}, google, 'c2VhbGVk0A=='),
    'ollama': ({'type': 'ollama'}, ollama, 'thought-0'),
    'grok': ({'type': 'grok'}, chat, None),
    'grok-responses': ({'type': 'grok', 'api': 'responses'}, responses, 'sealed-0'),
    'azure': ({'type': 'azure'}, chat, None),
    'azure-responses': ({'type': 'azure', 'api': 'responses'}, responses, 'sealed-0'),
    'zai': ({'type': 'zai'}, chat, 'thought-0'),
    'custom': ({'type': 'custom'}, chat, 'thought-0'),
    'openrouter': ({'type': 'openrouter'}, chat, 'thought-0'),
}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, dialect):
        super().__init__(('127.0.0.1', 0), Handler)
        self.dialect = dialect
        self.asked = []
        self.keys = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(404, 'application/json', b'{}')

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.server.keys.add(next((value for value in self.headers.values() if KEY in value), ''))
        turn = len(self.server.asked)
        self.server.asked.append(body.decode())
        lines = self.server.dialect is ollama
        self.answer(200, 'application/x-ndjson' if lines else 'text/event-stream', self.server.dialect(min(turn, 2)).encode())


def run(program, home, settings, *words):
    command = [program, 'chat', '--output', 'stream-json', '--permission-mode', 'read-only', *words]
    for key, value in settings.items():
        command += ['--set', f'providers.p.{key}={json.dumps(value)}']
    done = subprocess.run(command + ['What do the notes say?'], cwd=home, stdin=subprocess.DEVNULL, capture_output=True,
                          env={'HOME': str(home), 'PATH': os.environ['PATH'], 'THE_KEY': KEY}, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check(program, name):
    section, dialect, opaque = SERVERS[name]
    home = pathlib.Path(tempfile.mkdtemp(prefix='rustic-conversation-'))
    (home / 'notes.txt').write_text('hello from the notes\n')
    server = Server(dialect)
    try:
        base = f'http://127.0.0.1:{server.server_address[1]}'
        if dialect in (chat, responses) and section['type'] != 'azure':
            base += '/v1'
        settings = {**section, 'base_url': base, 'model': 'm', 'api_key': 'env:THE_KEY'}
        code, live, errors = run(program, home, settings, '--record', 'run.jsonl')
        assert code == 0, f'exit status {code}: {live} {errors}'
        done = json.loads(live.splitlines()[-1])
        result = done.get('result', done)
        assert result['text'] == ANSWER, f'text {result["text"]!r}'
        assert result['finish_reason'] == 'stop' and result['rounds'] == 3, result
        assert [one['name'] for one in result['tool_calls']] == [one[1] for one in CALLS], result['tool_calls']
        assert all(one['success'] for one in result['tool_calls']), result['tool_calls']
        assert result['usage']['input_tokens'] == 33 and result['usage']['output_tokens'] == 15, result['usage']
        assert len(server.asked) == 3, f'asked {len(server.asked)} times'
        assert KEY in ''.join(server.keys), 'the key was not sent'
        assert 'notes.txt' in server.asked[1], 'the first result was not sent back'
        assert 'hello from the notes' in server.asked[2], 'the second result was not sent back'
        if dialect not in (google, ollama):
            assert all(one[0] in server.asked[2] for one in CALLS), 'the ids of the calls were not kept'
        if opaque:
            assert opaque in server.asked[1] and opaque in server.asked[2], f'{opaque} was not sent back'
        recording = (home / 'run.jsonl').read_text()
        assert KEY not in recording and KEY[3:] not in recording, 'the key stands in the recording'
        assert KEY not in live + errors, 'the key was shown'

        server.shutdown()
        server.server_close()
        code, again, errors = run(program, home, settings, '--replay', 'run.jsonl')
        assert code == 0, f'replay: exit status {code}: {again} {errors}'
        assert again == live, f'the replay differs:\n{live}\n{again}'
        (home / 'notes.txt').write_text('hello from the notes\n')
        code, again, errors = run(program, home, settings, '--replay', 'run.jsonl', '--tools', 'live')
        assert code == 0, f'replay with live tools: exit status {code}: {again} {errors}'
        assert json.loads(again.splitlines()[-1]).get('result', {}).get('text', ANSWER) == ANSWER
        assert len(server.asked) == 3, 'the replay asked the server'
    finally:
        server.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def main():
    program, names = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(SERVERS)
    failed = 0
    for name in names:
        try:
            check(program, name)
        except AssertionError as problem:
            failed += 1
            print(f'{name}: {str(problem)[:1500]}')
    try:
        check_pause(program)
    except AssertionError as problem:
        failed += 1
        print(f'a pause: {str(problem)[:1500]}')
    print(f'{len(names)} servers, {failed} not as expected')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
