#!/usr/bin/env python3
"""package_test.py STEP SOURCE BUILD - uses the installed Rustic-AI as somebody outside does.

`install` puts it below BUILD/package-test and moves it; the other steps build plugins and programs
against that, in a scratch directory, and run them.
"""
import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

SKIPPED = 77
STEP_SECONDS_MAX = 240

step, source, build = sys.argv[1:4]
place = os.path.join(build, 'package-test')
prefix = os.path.join(place, 'moved')
scratch = ''  # of this step


def surroundings():
    """What the programs see: nothing of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ('LANG', 'TMPDIR', 'CCACHE_DIR') if name in os.environ}
    kept['PATH'] = os.path.join(prefix, 'bin') + ':/usr/local/bin:/usr/bin:/bin'
    rustc = shutil.which('rustc')
    if rustc:
        kept['PATH'] += ':' + os.path.dirname(rustc)
        for name, folder in (('RUSTUP_HOME', '.rustup'), ('CARGO_HOME', '.cargo')):
            kept[name] = os.environ.get(name, os.path.join(os.environ.get('HOME', '/'), folder))
    kept['HOME'] = os.path.join(scratch, 'home')
    kept['CMAKE_GENERATOR'] = 'Ninja'
    if shutil.which('ccache'):
        kept['CMAKE_C_COMPILER_LAUNCHER'] = kept['CMAKE_CXX_COMPILER_LAUNCHER'] = 'ccache'
        kept['CCACHE_DIR'] = os.environ.get('CCACHE_DIR', os.path.join(
            os.environ.get('HOME', '/'), '.cache/ccache'))
        kept['CCACHE_BASEDIR'] = scratch
        kept['CCACHE_NOHASHDIR'] = '1'
    return kept


def fail(text):
    print(text)
    sys.exit(1)


def run(command, where=None, status=0, **more):
    """Runs a command; it must end with that status. Gives its output."""
    shell = isinstance(command, str)
    print('$', command if shell else ' '.join(command), flush=True)
    done = subprocess.run(command, shell=shell, cwd=where or scratch, env=surroundings(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STEP_SECONDS_MAX,
                          **more)
    if status is not None and done.returncode != status:
        fail(f'{done.stdout}\n{command}: status {done.returncode}, expected {status}')
    return done.stdout


def require(holds, what, shown=''):
    if not holds:
        fail(f'{what}\n{shown}')


def rustic(*arguments, **more):
    return run(['rustic-ai', *arguments], **more)


def listed(directory, name):
    """The plugin is listed as usable and shown with its manifest."""
    plugins = json.loads(rustic('--plugin-dir', directory, 'plugin', 'list', '--output', 'json'))
    plugins = plugins if isinstance(plugins, list) else plugins['plugins']
    found = [one for one in plugins if one.get('id') == name]
    require(found and found[0].get('state') == 'ready', f'{name} is not listed', json.dumps(plugins))
    require(name in rustic('--plugin-dir', directory, 'plugin', 'info', name), f'no info on {name}')


def validated(file, *more):
    rustic('plugin', 'validate', '--seed', '1', *more, file)


def exports(file):
    names = {line.split()[-1] for line in run(['nm', '-D', '--defined-only', file]).splitlines()}
    require(names == {'rai_plugin_entry_v1'}, f'{file} exports {names}')
    dynamic = run(['readelf', '-d', file])
    require('NOW' in dynamic and 'RUNPATH' not in dynamic, f'{file}: flags', dynamic)


@contextlib.contextmanager
def fake_model(script):
    file = os.path.join(scratch, 'script.json')
    with open(file, 'w', encoding='utf-8') as out:
        json.dump(script, out)
    server = subprocess.Popen([os.path.join(build, 'bin/rustic-fake-model'), '--script', file],
                              stdout=subprocess.PIPE, text=True)
    try:
        yield f'http://127.0.0.1:{json.loads(server.stdout.readline())["port"]}/v1'
    finally:
        server.terminate()
        server.wait()


def configure(text):
    folder = os.path.join(scratch, 'home/.config/rustic-ai')
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'config.toml'), 'w', encoding='utf-8') as out:
        out.write(text)


def chat(*arguments):
    return rustic(*arguments, stdin=subprocess.DEVNULL)


def tool_answers(directory, tool, arguments, expected):
    """The agent calls the tool of a plugin in that directory and gets its result."""
    steps = [{'tool_calls': [{'name': tool, 'arguments': arguments}]}, {'text': 'Done.'}]
    with fake_model({'steps': steps}) as url:
        configure(f'[providers.fake]\ntype = "openai"\nbase_url = "{url}"\nmodel = "m"\n')
        text = chat('--plugin-dir', directory, 'chat', '--output', 'json', 'Go')
        calls = json.loads(text[text.index('{'):])['tool_calls']
    require(calls and calls[0]['success'] and calls[0]['output'] == expected, f'{tool}: {calls}')


def generated(kind, lang, name):
    """Makes a project, follows what was printed, and gives its folder."""
    said = rustic('plugin', 'new', '--kind', kind, '--lang', lang, name)
    commands = [line.strip() for line in said.splitlines() if line.startswith('  ')]
    require(len(commands) == 3, 'three commands are told', said)
    folder = os.path.join(scratch, name)
    first = commands[0].split(' && ', 1)
    require(first[0] == f'cd {name}', 'the first command enters the folder', said)
    run(first[1], where=folder)
    run(commands[1], where=folder)
    file = os.path.join(folder, 'build', name + '.so')
    exports(file)
    validated(file, '--strictness', '10')
    listed(os.path.join(folder, 'build'), name)
    run(commands[2], where=folder)
    require(os.path.exists(os.path.join(scratch, 'home/.local/lib/rustic-ai/plugins', name + '.so')),
            'the third command installs it')
    plugins = rustic('plugin', 'list')
    require(name in plugins, 'it is found in the directory of the user', plugins)
    return folder


def copied(example):
    folder = os.path.join(scratch, example)
    shutil.copytree(os.path.join(prefix, 'share/rustic-ai/examples', example), folder)
    return folder


def built(example):
    folder = copied(example)
    run('cmake -B build && cmake --build build', where=folder)
    return folder


def step_install():
    shutil.rmtree(place, ignore_errors=True)
    where = os.path.join(place, 'prefix')
    run(['cmake', '--install', build, '--prefix', where])
    os.rename(where, prefix)
    for file in ('rustic/abi.h', 'rustic/plugin.hpp', 'rustic-ai/host/runtime/runtime.hpp'):
        require(os.path.exists(os.path.join(prefix, 'include', file)), f'{file} is not installed')
    for root, _, files in os.walk(os.path.join(prefix, 'lib')):
        for name in files:
            if name.endswith(('.cmake', '.pc')):
                with open(os.path.join(root, name), encoding='utf-8') as file:
                    text = file.read()
                for path in (source, build, '/usr/lib'):
                    require(path not in text, f'{name} names {path}')
    run('rustic-ai --version')


def step_one_line():
    folder = copied('one-line')
    config = 'PKG_CONFIG_PATH=' + os.path.join(prefix, 'lib/pkgconfig') + ' pkg-config'
    flags = f'$({config} --cflags --libs rustic-sdk)'
    run(f'gcc -Wall -Wextra -Werror -shared -fPIC hello.c {flags} -o hello.so', where=folder)
    exports(os.path.join(folder, 'hello.so'))
    needed = run(['readelf', '-d', 'hello.so'], where=folder)
    require('boost' not in needed and 'stdc++' not in needed, 'a plugin in C needs no C++', needed)
    where = run(f'{config} --variable=plugindir rustic-sdk').strip()
    require(os.path.samefile(where, os.path.join(prefix, 'lib/rustic-ai/plugins')), where)
    validated(os.path.join(folder, 'hello.so'), '--strictness', '10')
    tool_answers(folder, 'one_line', {}, 'Hello!')


def step_rust():
    if not shutil.which('rustc'):
        print('rustc is not installed')
        sys.exit(SKIPPED)
    folder = copied('hello-rust')
    with open(os.path.join(folder, 'README.md'), encoding='utf-8') as file:
        run(re.search(r'^rustc .*$', file.read(), re.M).group(0), where=folder)
    exports(os.path.join(folder, 'hello-rust.so'))
    validated(os.path.join(folder, 'hello-rust.so'))
    tool_answers(folder, 'hello_rust', {}, 'Hello from Rust!')


def step_examples():
    folder = built('hello-cpp')
    validated(os.path.join(folder, 'build/hello.so'))
    tool_answers(os.path.join(folder, 'build'), 'hello', {'name': 'Ada'}, 'Hello, Ada!')
    for refused in (['plugin', 'new', 'hello-cpp'], ['plugin', 'new', 'Bad_Name'],
                    ['plugin', 'new', 'test'], ['plugin', 'new', 'x', '--to', 'home']):
        said = rustic(*refused, status=None)
        require(said.startswith('rustic-ai: making a plugin: ') and '\n  ' in said,
                'a refusal tells why and what to do', said)
    require(sorted(os.listdir(scratch)) == ['hello-cpp', 'home', 'script.json'], 'nothing is left over')
    for version, found in (('1', True), ('1.0', True), ('1.99', False), ('2', False)):
        folder = os.path.join(scratch, 'version-' + version)
        os.mkdir(folder)
        with open(os.path.join(folder, 'CMakeLists.txt'), 'w', encoding='utf-8') as out:
            out.write('cmake_minimum_required(VERSION 3.25)\nproject(p LANGUAGES C)\n'
                      f'find_package(rustic {version} CONFIG REQUIRED)\n')
        said = run(['cmake', '-B', 'build'], where=folder, status=0 if found else 1)
        require(found or 'requested version' in said, f'a plugin for contract {version}', said)


def step_tool_c():
    folder = generated('tool', 'c', 'greet')
    tool_answers(os.path.join(folder, 'build'), 'greet', {}, 'Hello from C!')


def step_tool_cpp():
    generated('tool', 'cpp', 'my-words')
    tool_answers(os.path.join(scratch, 'home'), 'my_words', {'text': 'a b\n'}, '1 lines, 2 words, 4 characters')


class line_api(http.server.BaseHTTPRequestHandler):
    """The API of the provider that `plugin new` makes."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        last = body['messages'][-1]['text']
        lines = [{'text': 'You said: '}, {'text': last}, {'done': 'stop', 'input_tokens': 3, 'output_tokens': 2}]
        data = ''.join(json.dumps(line) + '\n' for line in lines).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def step_provider():
    generated('provider', 'cpp', 'my-lines')
    generated('provider', 'c', 'my-c-lines')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), line_api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for kind in ('my-lines', 'my-c-lines'):
        configure(f'[providers.lines]\ntype = "{kind}"\nmodel = "small"\n'
                  f'base_url = "http://127.0.0.1:{server.server_port}"\n')
        said = chat('chat', '--output', 'json', 'Good morning')
        require('You said: Good morning' in said, f'the model of {kind} answers', said)
    server.shutdown()


def step_storage():
    for lang in ('c', 'cpp'):
        name = f'my-files-in-{lang}'
        generated('storage', lang, name)
        with fake_model({'steps': [{'text': 'Hello.'}]}) as url:
            configure(f'[providers.fake]\ntype = "openai"\nbase_url = "{url}"\nmodel = "m"\n'
                      f'[storage]\nbackend = "{name}"\n')
            session = json.loads(chat('chat', '--output', 'json', 'Keep this'))['session_id']
        shown = rustic('session', 'show', session)
        require('Keep this' in shown and 'Hello.' in shown, 'another process reads the session', shown)
        file = os.path.join(scratch, f'home/.local/share/rustic-ai/sessions.{name}')
        require(os.path.exists(file), f'{file} is the one that keeps it')


def last_answer(config, *words):
    """The session of one chat whose model calls `files_list` and then says Done; its agent's result."""
    steps = [{'tool_calls': [{'name': 'files_list', 'arguments': {}}]}, {'text': 'Done.'}]
    with fake_model({'steps': steps}) as url:
        configure(f'[providers.fake]\ntype = "openai"\nbase_url = "{url}"\nmodel = "m"\n{config}')
        said = chat('chat', '--output', 'json', *words, 'Go')
    return json.loads(said[said.index('{'):])


def step_policy():
    generated('policy', 'cpp', 'my-budget')
    generated('policy', 'c', 'my-limit')
    placed = '[plugin.{}]\nbefore = ["rustic.tool/*"]\n'
    calls = last_answer(placed.format('my-limit'))['tool_calls']
    require(calls[0]['success'], 'a small call passes the policy in C', calls)
    calls = last_answer(placed.format('my-limit') + placed.format('my-budget') + 'calls = 0\n')['tool_calls']
    require(not calls[0]['success'] and '0 tool calls' in calls[0]['error'], 'the policy in C++ refuses', calls)


def step_engine():
    for lang in ('c', 'cpp'):
        generated('engine', lang, f'my-agent-in-{lang}')
        with fake_model({'steps': [{'text': 'Blue.'}]}) as url:
            configure(f'[providers.fake]\ntype = "openai"\nbase_url = "{url}"\nmodel = "m"\n'
                      f'[agents.mine]\nengine = "my-agent-in-{lang}"\n')
            said = chat('chat', '--output', 'json', 'What colour is the sky?')
        answer = json.loads(said[said.index('{'):])
        require((answer['agent'], answer['text']) == ('mine', 'Blue.'), 'the engine answers', said)


def step_embed():
    folder = built('embed')
    steps = [{'tool_calls': [{'name': 'temperature', 'arguments': {}}]}, {'text': ['It is ', 'mild.']}]
    with fake_model({'steps': steps}) as url:
        said = run([os.path.join(folder, 'build/embed'), url, 'How warm is it?'])
    require('It is mild.' in said and '(1 tool calls)' in said, 'a turn with a tool', said)


def help_of(*command):
    """The subcommands and long options that a command's help lists."""
    said = rustic(*command, '--help')
    section, subcommands, options = '', [], []
    for line in said.splitlines():
        if line and not line.startswith(' '):
            section = line
        elif section == 'Subcommands:' and re.match(r'  \w', line):
            subcommands.append(line.split()[0])
        elif section == 'Options:' and line.startswith('  -'):
            options += re.findall(r'--[a-z-]+', line.split('  ')[1].split(' ')[0])
    return subcommands, options


def step_man():
    pages = [os.path.join(prefix, 'share/man', file) for file in ('man1/rustic-ai.1', 'man7/rustic-sdk.7')]
    if not shutil.which('mandoc'):
        print('mandoc is not installed')
        sys.exit(SKIPPED)
    run(['mandoc', '-Tlint', '-W', 'warning', *pages])
    if shutil.which('groff'):
        for page in pages:
            said = subprocess.run(['groff', '-mdoc', '-ww', '-Tutf8', page], check=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True).stderr
            require(not said, f'{page} is clean', said)
    text = re.sub('.\b', '', run(['mandoc', '-Tascii', '-O', 'width=200', pages[0]]))
    commands, options = help_of()
    require(len(commands) > 8 and '--plugin-dir' in options, 'the help was read', (commands, options))
    for option in options:
        require(re.search(r'(^|[ ,])' + option + r'\b(?!-)', text), f'rustic-ai(1) lacks {option}')
    for command in commands:
        for entry in [f'{command} {nested}' for nested in help_of(command)[0]] or [command]:
            require(re.search(r'^     ' + entry + r'\b', text, re.M), f'rustic-ai(1) lacks the command {entry}', text)


def step_guide():
    """docs/plugin-guide.md, command by command."""
    with open(os.path.join(prefix, 'share/doc/rustic-ai/docs/plugin-guide.md'), encoding='utf-8') as file:
        blocks = re.findall(r'^```sh\n(.*?)^```', file.read(), re.M | re.S)
    require(len(blocks) >= 8, 'the guide has commands', blocks)
    ask = {'tool_calls': [{'name': 'disk_free', 'arguments': {'directory': '.'}}]}
    place = os.path.join(scratch, 'empty')
    os.mkdir(place)
    with fake_model({'steps': [ask, {'text': 'Enough.'}, ask, {'text': 'As I said.'}]}) as url:
        configure(f'[providers.fake]\ntype = "openai"\nbase_url = "{url}"\nmodel = "m"\n')
        said = run(['sh', '-eux', '-c', '\n'.join(blocks)], where=place, stdin=subprocess.DEVNULL)
    require('Enough.' in said and 'As I said.' in said, 'the agent answers twice', said)
    sessions = json.loads(rustic('-C', place, 'session', 'list', '-a', '--output', 'json'))
    sessions = sessions if isinstance(sessions, list) else sessions['sessions']
    told = [rustic('session', 'export', one['id'], '--format', 'json') for one in sessions]
    for words in (r'\d+ of \d+ bytes are free', r'\d+ of \d+ MiB are free'):
        require(sum(bool(re.search(words, one)) for one in told) == 1, f'one session has: {words}', told)


def unpacked_runs(tree):
    """The program of an unpacked package, with nobody's settings and no compiler."""
    home = os.path.join(tree, 'home')
    os.makedirs(home)
    around = {'HOME': home, 'PATH': os.path.join(tree, 'bin'), 'LANG': 'C.UTF-8'}

    def rustic_here(*words):
        print('$', 'rustic-ai', *words, flush=True)
        done = subprocess.run([os.path.join(tree, 'bin/rustic-ai'), *words], cwd=home, env=around,
                              stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=STEP_SECONDS_MAX)
        require(done.returncode == 0, f'{words}: status {done.returncode}', done.stdout)
        return done.stdout

    require(rustic_here('--version').startswith('rustic-ai '), 'it tells its version')
    found = json.loads(rustic_here('plugin', 'list', '--output', 'json'))
    found = found if isinstance(found, list) else found['plugins']
    names = {one['id'] for one in found}
    require({'agent', 'http', 'files', 'shell', 'sqlite', 'openai', 'permission'} <= names,
            'the plugins are found', names)
    for one in found:
        require(one['state'] == 'ready' and one['path'].startswith(tree + '/'),
                'each is usable, and the one beside the program', one)
    require(rustic_here('demo').strip(), 'the demo plays')
    with fake_model({'steps': [{'text': 'Good morning.'}]}) as url:
        said = rustic_here('--set', 'providers.fake.type=openai', '--set', f'providers.fake.base_url={url}',
                           '--set', 'providers.fake.model=m', 'chat', '-q', 'Hello')
    require('Good morning.' in said, 'it asks a model', said)
    require('Hello' in rustic_here('session', 'list', '--output', 'json'), 'and keeps the session')
    rustic_here('plugin', 'new', 'my-tool')
    rustic_here('plugin', 'validate', '--strictness', '3',
                os.path.join(tree, 'lib/rustic-ai/plugins/memory.so'))
    shutil.rmtree(home)


def unpacked_twice(tree):
    unpacked_runs(tree)
    moved = os.path.join(scratch, 'somewhere', 'else')
    shutil.move(tree, moved)
    unpacked_runs(moved)
    shutil.rmtree(os.path.dirname(moved))
    for file in ('bin/rustic-ai', 'lib/rustic-ai/plugins/http.so'):
        require(not os.path.exists(os.path.join(tree, file)), 'it was moved, not copied')


def made_by_cpack(generator, ending):
    out = os.path.join(scratch, generator)
    run(['cpack', '-G', generator, '-B', out], where=build)
    files = [name for name in os.listdir(out) if name.endswith(ending)]
    require(len(files) == 1, f'one {ending}', files)
    return os.path.join(out, files[0])


def step_tarball():
    file = made_by_cpack('TGZ', '.tar.gz')
    run(['tar', 'xf', file, '-C', scratch])
    name = os.path.basename(file)[:-len('.tar.gz')]
    require(os.path.isdir(os.path.join(scratch, name)), 'the archive has one folder, named as it is')
    unpacked_twice(os.path.join(scratch, name))


def step_deb():
    if not shutil.which('dpkg-deb'):
        print('dpkg-deb is not installed')
        sys.exit(SKIPPED)
    file = made_by_cpack('DEB', '.deb')
    fields = dict(line.split(': ', 1) for line in run(['dpkg-deb', '-f', file]).splitlines()
                  if ': ' in line and not line.startswith(' '))
    version = run('rustic-ai --version').split()[1]
    for field, expected in (('Package', 'rustic-ai'), ('Version', version),
                            ('Architecture', run('dpkg --print-architecture').strip())):
        require(fields.get(field) == expected, f'{field}: {expected}', fields)
    require('@' in fields.get('Maintainer', ''), 'somebody maintains it', fields)
    depends = {one.split()[0] for one in fields['Depends'].split(', ')}
    require({'libssl3', 'libc6', 'libstdc++6'} <= depends, 'it needs its libraries', fields)
    require(not any(one.endswith('-dev') or one in ('g++', 'gcc', 'cmake') for one in depends),
            'and nothing that builds', fields)
    root = os.path.join(scratch, 'root')
    run(['dpkg-deb', '-x', file, root])
    programs = [os.path.join(root, 'usr', 'bin/rustic-ai')]
    for folder in ('libexec/rustic-ai', 'lib/rustic-ai/plugins'):
        folder = os.path.join(root, 'usr', folder)
        programs += [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    needed = set()
    for program in programs:
        dynamic = run(['readelf', '-dS', program])
        needed |= set(re.findall(r'NEEDED.*\[(.+)\]', dynamic))
        require('.debug_info' not in dynamic and 'RUNPATH' not in dynamic,
                f'{program} is stripped and names no place')
    for library in sorted(needed - {'ld-linux-x86-64.so.2', 'ld-linux-aarch64.so.1'}):
        owners = {line.split(':')[0] for line in run(['dpkg-query', '-S', '*/' + library]).splitlines()}
        require(owners & depends, f'{library} of {owners} is not among what it depends on', fields)
    for name in ('doc/rustic-ai/copyright', 'doc/rustic-ai/README.md', 'man/man1/rustic-ai.1'):
        require(os.path.exists(os.path.join(root, 'usr/share', name)), f'{name} is missing')
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            mode = os.lstat(os.path.join(folder, name)).st_mode & 0o777
            require(mode in (0o755, 0o644), f'{name} has mode {mode:o}')
    # The SDK of the package, whose archives were stripped.
    for example, made in (('hello-cpp', 'hello.so'), ('hello-c', 'hello-c.so'), ('embed', 'embed')):
        folder = os.path.join(scratch, example)
        shutil.copytree(os.path.join(root, 'usr/share/rustic-ai/examples', example), folder)
        run(['cmake', '-B', 'build', f'-DCMAKE_PREFIX_PATH={root}/usr'], where=folder)
        run(['cmake', '--build', 'build'], where=folder)
        require(os.path.exists(os.path.join(folder, 'build', made)), f'{made} is built')
        with open(os.path.join(folder, 'build/CMakeCache.txt'), encoding='utf-8') as cache:
            require(f'{root}/usr/lib/cmake/rustic' in cache.read(), 'with the SDK of the package')
    unpacked_twice(os.path.join(root, 'usr'))


def main():
    global scratch
    with tempfile.TemporaryDirectory(prefix='rustic-package-') as folder:
        scratch = folder
        os.mkdir(os.path.join(scratch, 'home'))
        globals()['step_' + step]()
    return 0


if __name__ == '__main__':
    sys.exit(main())
