#!/usr/bin/env python3
"""corpus_test.py VALIDATOR SDK COMPILER_C COMPILER_CXX WORK

Builds a plugin with one fault for each check of the validator (faults.py) and sees that the check
notices it; that a plugin without a fault passes; and that no check is left out.
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from faults import FAULTS, MORE_FAULTS

HERE = pathlib.Path(__file__).resolve().parent
MACROS = ('ANSWER', 'STATUS', 'GLOBALS', 'ON_LOAD', 'AT_EXIT', 'ENTRY', 'ENTRY_END', 'CREATE', 'START', 'STOP',
          'DESTROY', 'SERVICE', 'CALL', 'METHOD', 'ARGUMENTS', 'EVENT', 'FLOW', 'FINISHED', 'CANCEL', 'RESUME',
          'ANSWERED', 'ASKED', 'THREAD_US', 'THREAD', 'PARENT', 'SAVE', 'RESTORE')
LINK = ['-Wl,--exclude-libs,ALL', '-Wl,-z,now', '-Wl,-z,relro', '-Wl,-z,noexecstack', '-Wl,--build-id']


def manifest():
    return {
        'id': 'base', 'version': '1.0.0', 'description': 'Answers with a text', 'license': 'MIT',
        'abi': {'major': 1, 'min_minor': 0},
        'provides': [{
            'interface': 'rustic.tool/1', 'name': 'base',
            'attributes': {
                'description': 'Answers with a text.',
                'parameters': {'type': 'object', 'required': ['text'],
                               'properties': {'text': {'type': 'string', 'description': 'What is said'}}},
                'annotations': {'read_only': True, 'idempotent': True},
                'examples': [{'text': 'x'}]}}]}


def build(name, fault, sdk, compilers, work):
    folder = pathlib.Path(tempfile.mkdtemp(prefix=name.split(' ')[0] + '.', dir=work))
    about = manifest()
    if fault.get('wants'):
        about['wants'] = [fault['wants'] if isinstance(fault['wants'], str) else 'rustic.clock/default']
    change = fault.get('manifest')
    if callable(change):
        change(about)
    text = change if isinstance(change, str) else json.dumps(about)
    text = fault.get('text', lambda words: words)(text)
    lines = [f'#define {key} {fault[key]}'.replace('\n', ' \\\n') for key in MACROS if key in fault]
    if 'TARGET' in fault:
        lines.append(f'#define TARGET {json.dumps(fault["TARGET"])}')
    lines.append(f'#define PROVIDED {json.dumps(fault.get("PROVIDED", "rustic.tool/base"))}')
    lines.append(f'#define MANIFEST_NOTE RAI_MANIFEST({json.dumps(text)})')
    (folder / 'fault.h').write_text('\n'.join(lines) + '\n', encoding='latin-1')
    file = folder / 'base.so'
    cxx = fault.get('language') == 'c++'
    command = [compilers[1] if cxx else compilers[0], '-shared', '-fPIC', '-O1', '-w', f'-I{folder}', f'-I{sdk}/include',
               '-fvisibility=hidden', *(['-x', 'c++', '-std=c++20', '-DCXX'] if cxx else ['-D_GNU_SOURCE']), str(HERE / 'base.c'),
               '-o', str(file), *LINK]
    if not fault.get('exports'):
        command.append(f'-Wl,--version-script={sdk}/cmake/plugin.map')
    if not fault.get('undefined'):
        command.append('-Wl,-z,defs')
    if 'library' in fault:
        subprocess.run([compilers[0], '-shared', '-x', 'c', '/dev/null', '-o', str(folder / f'lib{fault["library"]}.so')],
                       check=True)
        by_path = [f'{folder}/lib{fault["library"]}.so'] if fault.get('library_by_path') else []
        command += [f'-L{folder}', '-Wl,--no-as-needed', *(by_path or [f'-l{fault["library"]}'])]
    subprocess.run(command + fault.get('flags', []), check=True)
    if 'edit' in fault:
        file.write_bytes(fault['edit'](file.read_bytes()))
    file.chmod(fault.get('mode', 0o644))
    if 'sidecar' in fault:
        (folder / 'base.so.json').write_text(fault['sidecar'])
    return file


def validate(validator, file, *words):
    done = subprocess.run([validator, '--strictness', '10', '--seed', '1', '--output', 'json', *words, str(file)],
                          capture_output=True, text=True, check=False)
    return done.returncode, {one['name']: one for one in json.loads(done.stdout)['checks']}


def main():
    validator, sdk, c, cxx, work = sys.argv[1:6]
    only = sys.argv[6:]
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    listed = subprocess.run([validator, '--list'], capture_output=True, text=True, check=True).stdout
    known = {line.split()[0] for line in listed.splitlines() if line.strip()}
    covered = {name for names in FAULTS for name in names.split()}
    wrong = [f'{name}: no plugin breaks it' for name in sorted(known - covered)]
    wrong += [f'{name}: there is no such check' for name in sorted(covered - known)]

    def good():
        code, checks = validate(validator, build('good', {}, sdk, (c, cxx), work))
        bad = [f'good: {name} {one["status"]}: {one.get("seen")}' for name, one in checks.items()
               if one['status'] not in ('passed', 'skipped')]
        return bad + ([] if code == 0 else [f'good: exit status {code}'])

    def one(names, fault):
        try:
            file = build(names, fault, sdk, (c, cxx), work)
        except subprocess.CalledProcessError:
            return [f'{names}: it cannot be built']
        words = [word for name in names.split() for word in ('--only', name)]
        code, checks = validate(validator, file, *words)
        expected = fault.get('outcome', 'failed')
        bad = []
        for name in names.split():
            got = checks.get(name, {'status': 'not run'})
            if got['status'] != expected:
                others = {key: value['status'] for key, value in checks.items() if key != name}
                bad.append(f'{name}: {got["status"]} instead of {expected} ({got.get("reason") or got.get("seen")}) {others}')
            elif expected in ('failed', 'warning') and not (got.get('expected') and got.get('seen')):
                bad.append(f'{name}: it does not say what was expected and seen')
        if (code == 0) != (expected == 'warning'):
            bad.append(f'{names.split()[0]}: exit status {code}')
        return bad

    # Most of the time is spent in plugins that wait.
    with concurrent.futures.ThreadPoolExecutor(2 * os.cpu_count()) as pool:
        jobs = [] if only else [pool.submit(good)]
        jobs += [pool.submit(one, names, fault) for names, fault in [*FAULTS.items(), *MORE_FAULTS]
                 if not only or any(word in names for word in only)]
        for job in jobs:
            wrong += job.result()
    print('\n'.join(wrong))
    print(f'{len(covered)} checks, {len(wrong)} not as expected')
    shutil.rmtree(work, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
