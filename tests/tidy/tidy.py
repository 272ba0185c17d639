#!/usr/bin/env python3
"""tidy.py [ROOT] - the project's rules that a machine can check: who includes whom, sizes, words, paths.

Prints one line for each breach and exits with 1 when there is one. `tidy.py --self-test` shows that
each rule can fail.
"""
import os
import re
import subprocess
import sys

SOURCE_LINES_MAX = 600
HEADER_LINES_MAX = 250
LINE_COLUMNS_MAX = 100
RAW_STRING = re.compile(r'\bR"')  # a file with one may have longer lines

STANDARD = re.compile(r'^[a-z_]+(\.h)?$')  # <vector>, <stdint.h>
POSIX = ('sys/', 'arpa/', 'netinet/', 'linux/', 'net/')

# First match wins. quoted: prefixes that "..." may have; own: files of the same folder (and below);
# angled: prefixes that <...> may have beside the standard library.
LAYERS = [
    ('sdk/include/rustic/abi.h', dict(quoted=(), angled=(), only=('stdint.h', 'stddef.h'))),
    ('sdk/include/', dict(quoted=(), angled=('rustic/', 'boost/json', 'boost/describe', 'boost/mp11'))),
    ('sdk/examples/embed/', dict(quoted=(), angled=('rustic/', 'host/runtime/'))),
    ('sdk/examples/', dict(quoted=(), own=True, angled=('rustic/', 'boost/json') + POSIX)),
    ('sdk/', dict(quoted=(), own=True, angled=('rustic/', 'boost/json', 'valijson/', 're2/'))),
    ('kernel/abi/', dict(quoted=('kernel/',), own=True,
                         angled=('rustic/abi.h', 'boost/dll', 'boost/json') + POSIX)),
    ('kernel/', dict(quoted=('kernel/',), own=True, angled=('rustic/abi.h',))),
    ('plugins/storage/', dict(quoted=(), own=True, angled=('rustic/', 'boost/', 'sqlite3.h') + POSIX)),
    ('plugins/', dict(quoted=(), own=True, angled=('rustic/', 'boost/', 'openssl/', 're2/', 'zlib.h') + POSIX)),
    ('host/runtime/', dict(quoted=('host/runtime/', 'kernel/', 'config_texts.hpp'), own=True,
                           angled=('rustic/', 'boost/json', 'spdlog/', 'toml++/', 'yaml-cpp/', 'valijson/') + POSIX)),
    ('host/validator/', dict(quoted=('host/validator/', 'kernel/abi/'), own=True,
                             angled=('rustic/', 'boost/json') + POSIX)),
    ('host/cli/', dict(quoted=('host/',), own=True,
                       angled=('rustic/', 'boost/json', 'CLI/', 'histedit.h') + POSIX)),
]
EMBEDDED = re.compile(r'\.md\.hpp$')  # documents that the build turns into headers

TESTS = '\0tests'  # in the list of where a word is allowed: tests and what only they use
BANNED = [  # pattern, what to do instead, where it is allowed
    (r'\.detach\(\)', 'join it in stop()', ()),
    (r'\bgetenv\b', 'take it as configuration; only host/ reads the environment', ('host/', TESTS)),
    (r'\bsleep_for\b|\busleep\(', 'wait for the condition', ('host/', TESTS)),
    (r'\b(TODO|FIXME|XXX|HACK)\b', 'do it, or write it into an issue', ()),
    (r'\bRTLD_DEEPBIND\b', 'it breaks sanitizers and LD_PRELOAD', ()),
    (r'#include <iostream>', 'it costs every start; use <cstdio> or a stream that is needed', ('tests/',)),
]
BAD_NAMES = re.compile(r'(^|/)(utils?|common|helpers?|types|core|misc)(/|\.[a-z]+$)')


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def is_test(path):
    return path.startswith('tests/') or re.search(r'_(test|bench|fuzz)\.(cpp|hpp|c)$', path) is not None


def is_test_support(path, text):
    """A file beside the code that only its tests use says so in its first line or includes doctest."""
    head = text.split('\n', 1)[0]
    name = os.path.basename(path)
    return ('test' in name or 'corpus' in name or '<doctest/' in text or
            re.search(r'\b[Tt]ests?\b', head) is not None)


def check_layers(path, text):
    if is_test(path) or is_test_support(path, text) or path.startswith('sdk/tests/'):
        return
    rule = next((rule for prefix, rule in LAYERS if path.startswith(prefix)), None)
    if rule is None:
        return
    folder = os.path.dirname(path)
    for number, line in enumerate(text.split('\n'), 1):
        found = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
        if not found:
            continue
        kind, name = found.groups()
        if 'only' in rule:
            if name not in rule['only']:
                yield f'{path}:{number}: may not include {name}'
            continue
        if kind == '"':
            target = os.path.normpath(os.path.join(folder, name))
            home = '/'.join(folder.split('/')[:3]) if folder.startswith('plugins/') else folder
            own = rule.get('own') and os.path.exists(target) and target.startswith(home + '/')
            if not own and not EMBEDDED.search(name) and not name.startswith(rule['quoted'] or ('\0',)):
                yield f'{path}:{number}: may not include "{name}"'
        elif not STANDARD.match(name) and not name.startswith(rule['angled'] or ('\0',)):
            yield f'{path}:{number}: may not include <{name}>'
        if path.endswith(('.hpp', '.h')) and re.match(r'boost/(asio|beast)', name):
            yield f'{path}:{number}: {name} belongs into a source file: it costs 20 s to compile'


def check_sizes(path, text):
    lines = text.count('\n')
    header = path.endswith(('.hpp', '.h'))
    support = is_test(path) or is_test_support(path, text)
    most = HEADER_LINES_MAX if header and not support else SOURCE_LINES_MAX
    if lines > most:
        yield f'{path}: {lines} lines, at most {most}'
    for number, line in enumerate(text.split('\n'), 1):
        if len(line) > LINE_COLUMNS_MAX and not RAW_STRING.search(text) and '://' not in line:
            yield f'{path}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}'


def check_words(path, text):
    for pattern, instead, allowed in BANNED:
        if path.startswith(allowed or ('\0',)) or path.startswith('tests/tidy/'):
            continue
        if TESTS in allowed and (is_test(path) or is_test_support(path, text)):
            continue
        for found in re.finditer(pattern, text):
            number = text.count('\n', 0, found.start()) + 1
            yield f'{path}:{number}: {found.group(0)}: {instead}'


def check_names(path, _):
    if BAD_NAMES.search(path):
        yield f'{path}: a name that admits anything; say what it is'


def check_document(path, text, root):
    for found in re.finditer(r'`((?:docs|scripts|plugins|sdk|kernel|host|tests|share)/[A-Za-z0-9_./+-]+)`', text):
        if not os.path.exists(os.path.join(root, found.group(1).rstrip('/'))):
            number = text.count('\n', 0, found.start()) + 1
            yield f'{path}:{number}: {found.group(1)} does not exist'
    for found in re.finditer(r'\]\(([^)#:]+)(?:#[^)]*)?\)', text):
        target = os.path.join(root, os.path.dirname(path), found.group(1))
        if not os.path.exists(target):
            number = text.count('\n', 0, found.start()) + 1
            yield f'{path}:{number}: the link {found.group(1)} leads nowhere'
    # A block that names a file is that file.
    for found in re.finditer(r'^```\w+ file=(\S+)\n(.*?)^```$', text, re.S | re.M):
        source = os.path.join(root, found.group(1))
        if not os.path.exists(source) or read(source) != found.group(2):
            number = text.count('\n', 0, found.start()) + 1
            yield f'{path}:{number}: the block is not what stands in {found.group(1)}'
    if sum(1 for line in re.sub(r'```.*?```', '', text, flags=re.S).split('\n') if line.startswith('# ')) > 1:
        yield f'{path}: more than one title'


def check_tags(path, text):
    """Every function pointer of the contract carries a thread tag."""
    if path != 'sdk/include/rustic/abi.h':
        return
    code = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    for body in re.findall(r'typedef struct rai_\w+ \{(.*?)\n\}', code, re.S):
        for statement in body.split(';'):
            if '(*' in statement and not re.match(r'\s*RAI_(ANY|WORKER|CTL)\b', statement):
                yield f'{path}: no thread tag: {" ".join(statement.split())}'


def check_file(path, text, root):
    if path.endswith(('.cpp', '.hpp', '.h', '.c')):
        yield from check_layers(path, text)
        yield from check_sizes(path, text)
        yield from check_words(path, text)
        yield from check_names(path, text)
        yield from check_tags(path, text)
    if path.endswith('.md'):
        yield from check_document(path, text, root)


def self_test():
    """Each rule must find its breach."""
    cases = [
        ('kernel/a.cpp', '#include <boost/json.hpp>\n'),
        ('kernel/a.cpp', '#include "host/runtime/runtime.hpp"\n'),
        ('plugins/tools/x/a.cpp', '#include "kernel/kernel.hpp"\n'),
        ('plugins/tools/x/a.cpp', '#include "../files/files.hpp"\n'),
        ('sdk/include/rustic/abi.h', '#include <string.h>\n'),
        ('sdk/include/rustic/x.hpp', '#include <boost/asio.hpp>\n'),
        ('plugins/transports/http/x.hpp', '#include <boost/asio.hpp>\n'),
        ('host/cli/a.cpp', 'int x;\n' * 601),
        ('host/cli/a.hpp', 'int x;\n' * 251),
        ('host/cli/a.cpp', 'x' * 101 + '\n'),
        ('kernel/a.cpp', 'thread.detach();\n'),
        ('plugins/x/y/a.cpp', 'getenv("X");\n'),
        ('host/cli/utils.cpp', '\n'),
        ('docs/x.md', '`docs/missing.md`\n'),
        ('docs/x.md', '[x](missing.md)\n'),
        ('docs/x.md', '# a\n# b\n'),
        ('docs/x.md', '```c file=a.c\nx\n```\n'),
        ('sdk/include/rustic/abi.h', 'typedef struct rai_x {\n  void (*f)(void);\n} rai_x;\n'),
    ]
    silent = [f'{path}: {text[:40]!r}' for path, text in cases if not list(check_file(path, text, '/nowhere'))]
    for case in silent:
        print(f'no rule notices {case}')
    return 1 if silent else 0


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.getcwd()
    os.chdir(root)
    listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], capture_output=True, text=True)
    if listed.returncode == 0:
        paths = listed.stdout.split('\n')
    else:  # a copy without git
        paths = [os.path.relpath(os.path.join(d, f), '.') for d, _, fs in os.walk('.') for f in fs
                 if not os.path.relpath(d, '.').startswith(('build', '.git'))]
    breaches = []
    for path in sorted(filter(None, paths)):
        if path.endswith(('.cpp', '.hpp', '.h', '.c', '.md')) and os.path.exists(path):
            breaches += check_file(path, read(path), '.')
    print('\n'.join(breaches))
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())
