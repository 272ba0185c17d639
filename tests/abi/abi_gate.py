#!/usr/bin/env python3
"""abi_gate.py COMPILER SOURCE - compares the contract in C with each stored baseline, by abidiff.

    gate      the header as it is: no incompatible change since any baseline
    can_fail  the gate notices each kind of forbidden change, and lets the allowed ones pass
    write     abi_gate.py write COMPILER SOURCE MINOR: writes the baseline of a new minor version
"""
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
mode, compiler, source = sys.argv[1:4]
here = os.path.join(source, 'tests/abi')
header = os.path.join(source, 'sdk/include/rustic/abi.h')


def surface(folder, text):
    """The library of that header's text."""
    include = os.path.join(folder, 'rustic')
    os.makedirs(include, exist_ok=True)
    with open(os.path.join(include, 'abi.h'), 'w', encoding='utf-8') as out:
        out.write(text)
    file = os.path.join(folder, 'librustic-surface.so')
    subprocess.run([compiler, '-g', '-O0', '-shared', '-fPIC', '-I' + folder,
                    os.path.join(here, 'surface.c'), '-o', file], check=True)
    return file


# Of these a later version of the same major may have more members: they tell their size.
APPENDABLE = {'rai_' + name for name in ('request', 'observer', 'op', 'service', 'call_info', 'host', 'plugin')}
APPENDED = re.compile(r"'struct (\w+)' changed:\n  type size changed from (\d+) to \d+ \(in bits\)\n"
                      r"  \d+ data member insertions?:\n((?:    '[^\n]+', at offset \d+ \(in bits\)\n)+)")
SUMMARY = re.compile(r'(Leaf changes|Changed leaf types|Removed/Changed/Added (functions|variables)) summary: ')
NOTHING_GONE = re.compile(r'Removed/Changed/Added (functions|variables) summary: 0 Removed, 0 Changed')


def is_appended(block):
    found = APPENDED.fullmatch(block + '\n')
    return (found is not None and found[1] in APPENDABLE and
            all(int(offset) >= int(found[2]) for offset in re.findall(r'at offset (\d+) ', found[3])))


def changes(baseline, library):
    """Empty, or what abidiff finds beside members that are appended where they may be."""
    done = subprocess.run(['abidiff', '--leaf-changes-only', '--no-show-locs', baseline, library],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return ''
    blocks = [block for block in re.split(r"\n\n+", done.stdout.strip()) if not is_appended(block)]
    lines = [line for block in blocks for line in block.split('\n')
             if not SUMMARY.match(line) or (line.startswith('Removed') and not NOTHING_GONE.match(line))]
    text = '\n'.join(filter(None, lines))
    only_types = done.returncode == 4 and 'summary: ' in done.stdout
    return text if text or only_types else f'abidiff ended with {done.returncode}: {done.stdout}'


def baselines():
    folder = os.path.join(here, 'baseline', platform.machine())
    if not os.path.isdir(folder):
        print(f'there is no baseline for {platform.machine()}')
        sys.exit(SKIPPED)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))]


def gate(text, folder):
    library = surface(folder, text)
    return '\n'.join(filter(None, (changes(one, library) for one in baselines())))


def changed(text, old, new, count=1):
    assert len(re.findall(old, text, re.S)) == count, old
    return re.sub(old, new, text, flags=re.S)


def can_fail(text, folder):
    end_of_plugin = r'(rai_str state, const rai_writer \*error\);\n)(\} rai_plugin;)'
    last_log = r'(\(\*log\)\(void \*self, int32_t level, rai_call call, rai_str text\);\n)(\} rai_host;)'
    allowed = {
        'a function more for plugins': changed(text, end_of_plugin, r'\1  void (*extra)(void *self);\n\2'),
        'a function more in the host': changed(text, last_log, r'\1  void (*extra)(void *self);\n\2'),
        'two more': changed(text, last_log, r'\1  void (*a)(void *self);\n  uint64_t b;\n\2'),
        'a new kind of event': changed(text, r'RAI_EVENT_JSON = 100', 'RAI_EVENT_NEW = 11,\n  RAI_EVENT_JSON = 100'),
    }
    forbidden = {
        'a member more in a frozen struct': changed(text, r'  size_t len;\n', '  size_t len;\n  size_t capacity;\n'),
        'a member more in an event': changed(text, r'  rai_str text;\n\} rai_event;', '  rai_str text;\n  uint64_t c;\n} rai_event;'),
        'a member in the middle': changed(text, r'(  RAI_CTL void \(\*stop\))', r'  void (*extra)(void *self);\n\1'),
        'two members exchanged': changed(text, r'(  rai_str method;\n)(.*?)(  rai_str data;[^\n]*\n)', r'\3\2\1'),
        'a member gone': changed(text, r'  RAI_ANY void \(\*withdraw\)[^\n]*\n', ''),
        'a member of another type': changed(text, r'uint32_t timeout_ms;', 'uint64_t timeout_ms;'),
        'another argument': changed(text, r'\(\*publish\)\(void \*self, rai_str topic, rai_str body\)',
                                    '(*publish)(void *self, rai_str topic, const rai_str *body)'),
        'another result': changed(text, r'RAI_ANY void \(\*cancel\)\(void \*self, rai_call call\)',
                                  'RAI_ANY rai_status (*cancel)(void *self, rai_call call)'),
        'another value of a code': changed(text, r'RAI_ABORTED = 10', 'RAI_ABORTED = 17'),
        'a code gone': changed(text, r'  RAI_DATA_LOSS = 15,\n', ''),
        'another call id': changed(text, r'typedef uint64_t rai_call;', 'typedef uint32_t rai_call;'),
        'another entry': changed(text, r'rai_plugin_entry_v1\(uint32_t', 'rai_plugin_entry_v1(uint64_t'),
    }
    wrong = []
    for name, mutant in allowed.items():
        found = gate(mutant, folder)
        if found:
            wrong.append(f'{name} is allowed, but the gate says:\n{found}')
    for name, mutant in forbidden.items():
        try:
            found = gate(mutant, folder)
        except subprocess.CalledProcessError:
            continue  # the compiler refuses it already
        if not found:
            wrong.append(f'{name} is forbidden, but the gate lets it pass')
    return '\n'.join(wrong)


def main():
    if not shutil.which('abidiff'):
        print('abidiff is not installed (Debian: abigail-tools)')
        return SKIPPED
    with open(header, encoding='utf-8') as file:
        text = file.read()
    with tempfile.TemporaryDirectory(prefix='rustic-abi-') as folder:
        if mode == 'write':
            folder_of_baselines = os.path.join(here, 'baseline', platform.machine())
            os.makedirs(folder_of_baselines, exist_ok=True)
            subprocess.run(['abidw', '--no-comp-dir-path', '--no-corpus-path', '--no-show-locs', '--out-file',
                            os.path.join(folder_of_baselines, sys.argv[4] + '.xml'), surface(folder, text)],
                           check=True)
            return 0
        found = gate(text, folder) if mode == 'gate' else can_fail(text, folder)
    print(found)
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
