"""faults.py - one deliberate fault for each check of the validator.

A fault is a dict. Upper-case members are macros of base.c. Others:
  manifest   a function that changes the manifest (a dict), or the manifest's text
  flags      more words for the compiler;  language  "c++" for C++
  edit       a function from the built file's bytes to others
  mode       of the file;  sidecar  text of NAME.so.json
  outcome    what the check must say; "failed" unless it is told
  seed       of the validator; 1 unless it is told
Several checks may share a fault: their names stand in one key, divided by spaces.
"""


def set_in(**members):
    return lambda manifest: manifest.update(members)


def tool(**attributes):
    return lambda manifest: manifest['provides'][0]['attributes'].update(attributes)


def parameters(**members):
    return lambda manifest: manifest['provides'][0]['attributes']['parameters'].update(members)


def provide(interface, name, **more):
    def change(manifest):
        manifest['provides'] = [{'interface': interface, 'name': name, 'attributes': {}, **more}]
    return change


SLEEPER = '''
static void *sleeper(void *self) { (void)self; for (;;) usleep(1000000); return NULL; }
static void begin_sleeper(void) { pthread_t one; pthread_create(&one, NULL, sleeper, NULL); pthread_detach(one); }
'''
# Finishes a call after a while, whatever else has finished it by then.
LATE = '''
typedef struct late_call { const rai_host *host; rai_call id; } late_call;
static void *late(void *self) { late_call *one = (late_call *)self; usleep(150000);
  one->host->finish(one->host->self, one->id, RAI_OK, text(ANSWER)); free(one); return NULL; }
static void finish_later(const rai_host *host, rai_call id) { pthread_t thread;
  late_call *one = (late_call *)malloc(sizeof *one); one->host = host; one->id = id;
  pthread_create(&thread, NULL, late, one); pthread_detach(thread); }
'''
NEVER = 'if (never) '
CLOCK = 'rustic.clock/default'
CONFIG = {'type': 'object', 'properties': {'size': {'type': 'integer'}}}
CRASHED, HUNG, WARNING = 'crashed', 'hung', 'warning'

FAULTS = {
    # The file.
    'static.elf': dict(edit=lambda data: data[:len(data) // 2]),
    'static.note': dict(GLOBALS='''
__attribute__((used, section(".note.rustic.second"), aligned(4))) static const struct {
  uint32_t namesz, descsz, type; char name[8]; char desc[4]; } second_note = {7, 4, 1, "Rustic", "{}"};'''),
    'static.mode': dict(mode=0o666),
    'static.exports': dict(exports=True, GLOBALS='RAI_EXPORT int another(void) { return 1; }'),
    'static.unique': dict(exports=True, GLOBALS='''
__asm__(".globl one_of_a_kind\\n.type one_of_a_kind,@gnu_unique_object\\n.data\\none_of_a_kind: .long 1\\n"
        ".size one_of_a_kind,4\\n.text");'''),
    'static.stack': dict(flags=['-Wl,-z,execstack']),
    'static.writable_code': dict(GLOBALS='__asm__(".section .bad,\\"awx\\",@progbits\\n.long 0\\n.text");'),
    'static.relocation': dict(flags=['-Wl,-z,notext'],
                              GLOBALS='__asm__(".text\\n.quad rai_plugin_entry_v1\\n");'),
    'static.bind_now': dict(flags=['-Wl,-z,lazy']),
    'static.relro': dict(flags=['-Wl,-z,norelro']),
    'static.tls': dict(GLOBALS='static __thread int mine __attribute__((tls_model("initial-exec")));',
                       CREATE='++mine;'),
    'static.build_id': dict(flags=['-Wl,--build-id=none']),
    'static.run_path': dict(flags=['-Wl,-rpath,/opt/lib']),
    'static.loader_flags': dict(flags=['-Wl,-z,initfirst']),
    'static.processor': dict(flags=['-Wl,-z,x86-64-v3']),
    'static.runtime': dict(GLOBALS='__asm__(".section .go.buildinfo,\\"a\\"\\n.long 0\\n.text");'),
    'static.sidecar': dict(sidecar='{"isolation": "none"}'),
    'import.libraries': dict(library='rustic_of_its_own'),
    'import.versions': dict(edit=lambda data: data.replace(b'GLIBC_2.14\0', b'GLIBC_2.99\0'),
                            GLOBALS='void *(*volatile copy)(void *, const void *, size_t) = memcpy;'),
    'import.exit': dict(CALL=NEVER + 'exit(1);'),
    'import.state': dict(CALL=NEVER + 'umask(0);'),
    'import.environment': dict(CALL='if (getenv("HOME") == NULL) return;'),
    'import.processes': dict(CALL=NEVER + '(void)fork();'),
    'import.thread_exit': dict(
        GLOBALS='extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);',
        CALL=NEVER + '__cxa_thread_atexit_impl(cancel, NULL, NULL);'),

    # The manifest.
    'manifest.grammar': dict(manifest='{"id": "base", '),
    'manifest.contract': dict(manifest=set_in(abi={'major': 2, 'min_minor': 0})),
    'manifest.provides': dict(manifest=lambda m: m['provides'].append(dict(m['provides'][0]))),
    'manifest.id': dict(manifest=set_in(id='Base_1')),
    'manifest.version': dict(manifest=set_in(version='new')),
    'manifest.description': dict(manifest=set_in(description='')),
    'manifest.license': dict(manifest=lambda m: m.pop('license')),
    'manifest.revision': dict(manifest=lambda m: m['provides'][0].update(interface='rustic.tool')),
    'manifest.requires': dict(manifest=set_in(requires=['clock'])),
    'manifest.isolation': dict(manifest=set_in(isolation='somewhat')),
    'manifest.members': dict(manifest=set_in(permision=[])),
    'manifest.duplicates': dict(text=lambda text: text.replace('"license"', '"version":"1.0.0","license"')),
    'manifest.config': dict(manifest=set_in(config={'type': 'nothing'})),
    'manifest.examples': dict(manifest=set_in(config={**CONFIG, 'examples': [{'size': 'x'}]})),
    'manifest.tool_text': dict(manifest=tool(description='')),
    'manifest.tool_schema': dict(manifest=tool(parameters={'type': 'text'})),
    'manifest.tool_portable': dict(manifest=parameters(anyOf=[{'type': 'object'}])),
    'manifest.tool_params': dict(manifest=parameters(properties={'text': {'type': 'string'}})),
    'manifest.tool_notes': dict(manifest=tool(annotations={'read_only': True, 'harmless': True})),
    'manifest.tool_effect': dict(manifest=tool(annotations={})),
    'manifest.tool_examples': dict(manifest=tool(examples=[{'text': 7}])),

    # Opening it.
    'load.open': dict(undefined=True, GLOBALS='extern int of_nobody(void);', CREATE='of_nobody();'),
    'load.entry': dict(ENTRY='return RAI_INTERNAL;'),
    'load.entry_bounds': dict(ENTRY_END='out->struct_size = 4096;'),
    'load.entry_small': dict(ENTRY_END='memcpy(out, &table, sizeof table);', outcome=CRASHED),
    'load.entry_large': dict(ENTRY='if (host_minor > 100) return RAI_FAILED_PRECONDITION;'),
    'load.entry_again': dict(
        GLOBALS='''static int asked;
static rai_status create(const rai_host *, rai_str, const rai_writer *, void **);
static rai_status other(const rai_host *h, rai_str c, const rai_writer *e, void **s) { return create(h, c, e, s); }''',
        ENTRY_END='if (asked++) out->create = other;'),
    'load.threads': dict(GLOBALS=SLEEPER, ON_LOAD='begin_sleeper();'),
    'load.descriptors': dict(ON_LOAD='(void)!open("/dev/null", O_RDONLY);'),
    'load.files': dict(ON_LOAD='close(open("left", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));'),
    'load.processes': dict(ON_LOAD='if (fork() == 0) { pause(); _exit(0); }'),
    'load.output': dict(ON_LOAD='(void)!write(1, "hello\\n", 6);'),
    'load.signals': dict(ON_LOAD='signal(SIGUSR1, SIG_IGN);'),
    'load.locale': dict(ON_LOAD='setlocale(LC_ALL, "C.UTF-8");'),
    'load.folder': dict(ON_LOAD='umask(077);'),
    'load.environment': dict(ON_LOAD='setenv("BASE_WAS_HERE", "1", 1);'),
    'load.limits': dict(ON_LOAD='''struct rlimit most; getrlimit(RLIMIT_NOFILE, &most);
  most.rlim_cur /= 2; setrlimit(RLIMIT_NOFILE, &most);'''),
    'load.floating': dict(ON_LOAD='__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);'),

    # Creating it.
    'create.ok': dict(CREATE='return RAI_INTERNAL;'),
    'create.service': dict(SERVICE='return RAI_NOT_FOUND;'),
    'create.other_target': dict(SERVICE=''),
    'create.service_bounds': dict(SERVICE='memset(out + 1, 0, 64);' 'if (!is(target, PROVIDED)) return RAI_NOT_FOUND;',
                                  outcome=CRASHED),
    'create.minimal_host': dict(CREATE='host->log(host->self, RAI_LOG_INFO, 0, text("hello"));', outcome=CRASHED),
    'create.short_host': dict(CREATE='if (host->log != NULL) host->log(host->self, RAI_LOG_INFO, 0, text("hello"));',
                              outcome=CRASHED),
    'create.alone': dict(TARGET=CLOCK, wants=True, ANSWERED='if (status != RAI_OK) return; go_on(me);'),
    'create.no_calls': dict(TARGET=CLOCK, wants=True, START='''
  rai_request request; rai_observer observer; memset(&request, 0, sizeof request); memset(&observer, 0, sizeof observer);
  request.struct_size = sizeof request; observer.struct_size = sizeof observer;
  request.target = text(TARGET); request.method = text("now"); request.body = text("{}");
  observer.finish = ignored; me->host->call(me->host->self, 0, &request, &observer);''',
                            GLOBALS='static void ignored(void *a, rai_status b, rai_str c) { (void)a, (void)b, (void)c; }'),
    'create.config_empty create.config_words': dict(manifest=set_in(config=CONFIG),
                                                    CREATE='if (config.len < 3 || holds(config, "size")) return RAI_INVALID_ARGUMENT;'),
    'create.config_wrong': dict(manifest=set_in(config=CONFIG), CREATE='if (holds(config, "size")) abort();',
                                outcome=CRASHED),
    'create.config_borrowed': dict(CALL='''{ volatile char first = me->owner->config.ptr[0]; (void)first; }''',
                                   outcome=CRASHED),
    'create.twice': dict(GLOBALS='static int alive;', DESTROY='--alive;',
                         CREATE='if (alive) return RAI_ALREADY_EXISTS; ++alive;'),
    'create.copy': dict(CREATE='if (open("lock", O_CREAT | O_EXCL | O_CLOEXEC, 0600) < 0) return RAI_ALREADY_EXISTS;'),
    'create.output': dict(CREATE='(void)!write(1, "hello\\n", 6);'),
    'create.process': dict(CREATE='umask(077);'),

    # Answers.
    'contract.answers': dict(CALL='if (request != NULL) return;'),
    'contract.exceptions': dict(language='c++', CALL='throw 1;'),
    'contract.status': dict(STATUS='99'),
    'contract.result': dict(ANSWER='"said"'),
    'contract.tool_result': dict(ANSWER='"{\\"output\\": 1}"'),
    'contract.tool_error': dict(ANSWER='"{\\"success\\":false,\\"output\\":\\"\\",\\"error\\":null}"'),
    'contract.error_body': dict(STATUS='RAI_INTERNAL', ANSWER='"{}"'),
    'contract.error_text': dict(STATUS='RAI_INTERNAL', ANSWER='"{\\"message\\":\\"\\xff\\"}"'),
    'contract.no_method': dict(METHOD='', ARGUMENTS=''),
    'contract.idempotent': dict(GLOBALS='static char said[99];',
                                CALL='''snprintf(said, sizeof said,
  "{\\"success\\":true,\\"output\\":\\"%d\\",\\"error\\":null}", me->owner->calls);''', ANSWER='said'),
    'contract.concurrent': dict(GLOBALS='static int inside;', CALL='''
  if (__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST) > 0) {
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
    finish(me, RAI_INTERNAL, "{\\"message\\":\\"busy\\"}"); return; }
  usleep(2000); __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);'''),
    'contract.log': dict(CALL='me->host->log(me->host->self, RAI_LOG_INFO, 0, text("\\xff\\xfe"));'),
    'contract.secrets': dict(
        manifest=set_in(config={'type': 'object', 'properties': {'password': {'type': 'string'}},
                                'required': ['password']}),
        CREATE='if (RAI_HAS(host, log)) host->log(host->self, RAI_LOG_INFO, 0, config);'),
    'contract.output': dict(CALL='(void)!write(1, "hello\\n", 6);'),
    'contract.prompt': dict(CALL='usleep(200000);'),
    'contract.threads': dict(GLOBALS=SLEEPER, CALL='begin_sleeper();'),
    'contract.descriptors': dict(CALL='(void)!open("/dev/null", O_RDONLY);'),
    'contract.memory': dict(CALL='memset(malloc(16384), 1, 16384);'),
    'contract.requests': dict(TARGET='clock', wants=True),
    'contract.parents': dict(TARGET=CLOCK, wants=True, PARENT='me->id + 4096'),
    'contract.declared': dict(TARGET=CLOCK),

    # Requests.
    'argument.bounds': dict(CALL='{ volatile char beyond = request->body.ptr[request->body.len]; (void)beyond; }',
                            outcome=CRASHED),
    'argument.borrowed': dict(THREAD_US='30000', CALL='me->body = request->body;',
                              THREAD='{ volatile char first = me->body.ptr[0]; (void)first; } go_on(me);', outcome=CRASHED),
    'argument.answers': dict(TARGET=CLOCK, wants=True, ANSWERED='me->body = body; me->resumed = 1;', outcome=CRASHED,
                             ASKED='{ volatile char first = me->body.ptr[0]; (void)first; } if (me->resumed) go_on(me);'),
    'argument.types': dict(CALL='''if (holds(request->body, "\\"text\\":") && !holds(request->body, "\\"text\\":\\"")) {
  finish(me, RAI_OK, "said"); return; }'''),
    'argument.missing': dict(ARGUMENTS=''),
    'argument.garbage': dict(CALL="if (request->body.len == 0 || request->body.ptr[0] != '{') abort();", outcome=CRASHED),
    'argument.deep': dict(GLOBALS='''
static size_t depth(const char *at, const char *end) {
  volatile char frame[512]; frame[0] = 1;
  while (at < end && *at != '[') ++at;
  return at < end ? depth(at + 1, end) + (size_t)frame[0] : 0;
}''', CALL='if (depth(request->body.ptr, request->body.ptr + request->body.len) == 7) return;', outcome=CRASHED),
    'argument.long': dict(CALL='if (request->body.len > 1000000) abort();', outcome=CRASHED),
    'argument.odd': dict(CALL='if (holds(request->body, "\\\\u0000")) abort();', outcome=CRASHED),
    'argument.large': dict(CALL='if (request->body.len > 100000) abort();', outcome=CRASHED),
    'argument.members': dict(CALL='''if (holds(request->body, "next_year")) {
  finish(me, RAI_INVALID_ARGUMENT, "{\\"message\\":\\"unknown member\\"}"); return; }'''),
    'argument.data': dict(CALL='if (request->data.len > 0) abort();', outcome=CRASHED),
    'argument.random': dict(CALL="if (request->body.len < 2 || request->body.ptr[request->body.len - 1] != '}') abort();",
                            outcome=CRASHED),

    # Streams.
    'async.finish_once': dict(FINISHED='me->host->finish(me->host->self, me->id, RAI_OK, text(ANSWER));'),
    'async.after_finish': dict(FINISHED='emit(me, RAI_EVENT_OUTPUT, 1, text("more\\n"));'),
    'async.own_calls': dict(FINISHED='me->host->finish(me->host->self, me->id + 77, RAI_OK, text(ANSWER));'),
    'async.one_at_a_time': dict(GLOBALS='''
static void *emitter(void *self) { for (int i = 0; i < 5; ++i) emit((state *)self, RAI_EVENT_OUTPUT, 1, text("x\\n")); return NULL; }''',
                                CALL='''{ pthread_t one, two;
  pthread_create(&one, NULL, emitter, me); pthread_create(&two, NULL, emitter, me);
  pthread_join(one, NULL); pthread_join(two, NULL); }'''),
    'async.event_form': dict(EVENT='kind = 77;'),
    'async.event_text': dict(EVENT='kind = RAI_EVENT_TEXT; index = 0; words = text("\\xff");'),
    'async.event_json': dict(EVENT='kind = RAI_EVENT_JSON; index = 0; words = text("[]");'),
    'async.tool_arguments': dict(EVENT='kind = RAI_EVENT_TOOL_ARGS; index = 0; words = text("{}");'),
    'async.cancel_at_once': dict(THREAD_US='2600000', CANCEL=''),
    'async.cancel_each': dict(THREAD_US='0', CANCEL='', THREAD='''
  for (int i = 0; i < 3; ++i) emit(me, RAI_EVENT_OUTPUT, 1, text("x\\n"));
  usleep(2600000); finish(me, RAI_OK, ANSWER);'''),
    'async.cancel_paused': dict(CANCEL='if (me->next < 3) return; finish(me, RAI_CANCELLED, "{}");'),
    'async.cancel_late': dict(CANCEL='me->host->finish(me->host->self, me->id, RAI_CANCELLED, text("{\\"message\\":\\"x\\"}"));'),
    'async.cancel_race': dict(THREAD_US='100', THREAD='me->host->finish(me->host->self, me->id, RAI_OK, text(ANSWER));',
                              CANCEL='me->host->finish(me->host->self, me->id, RAI_CANCELLED, text("{\\"message\\":\\"x\\"}"));'),
    'async.cancel_inside': dict(THREAD_US='20000', GLOBALS='static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;',
                                EVENT='pthread_mutex_lock(&held);', FLOW='''pthread_mutex_unlock(&held);
  if (flow == RAI_PAUSE) return; if (flow == RAI_STOP) return finish(me, RAI_CANCELLED, "{\\"message\\":\\"x\\"}");''',
                                CANCEL='''pthread_mutex_lock(&held); pthread_mutex_unlock(&held);
  finish(me, RAI_CANCELLED, "{\\"message\\":\\"x\\"}");'''),
    'async.cancel_quiet': dict(GLOBALS=LATE, CALL='{ finish_later(me->host, me->id); return; }'),
    'async.prompt': dict(THREAD_US='300000',
                         CANCEL='usleep(120000); finish(me, RAI_CANCELLED, "{\\"message\\":\\"x\\"}");'),
    'async.pause': dict(FLOW='if (flow == RAI_STOP) return;'),
    'async.resume': dict(RESUME=''),
    'async.stall': dict(THREAD_US='0', RESUME='', THREAD='''
  while (me->next < 3 && !me->cancelled) {
    ++me->next; me->resumed = 0;
    if (emit(me, RAI_EVENT_OUTPUT, 1, text("x\\n")) == RAI_PAUSE)
      while (!*(volatile int *)&me->resumed && !*(volatile int *)&me->cancelled) { }
  }
  finish(me, RAI_OK, ANSWER);'''),
    'async.stop': dict(FLOW='if (flow == RAI_PAUSE) return;'),
    'async.in_flight': dict(THREAD_US='50000', GLOBALS='static int open_calls;', CALL='''
  if (__atomic_fetch_add(&open_calls, 1, __ATOMIC_SEQ_CST) > 8) return;''',
                            FINISHED='__atomic_fetch_sub(&open_calls, 1, __ATOMIC_SEQ_CST);'),
    'async.answered_later': dict(TARGET=CLOCK, wants=True, ANSWERED='me->resumed = 1;',
                                 ASKED='if (me->resumed) go_on(me);'),
    'async.answered_at_once': dict(TARGET=CLOCK, wants=True,
                                   ANSWERED='if (me->asking) return; go_on(me);'),
    'async.cancel_below': dict(TARGET=CLOCK, wants=True, CANCEL='',
                               ANSWERED='if (me->cancelled) return; go_on(me);'),

    # A machine that gives nothing.
    'robust.memory_create': dict(CREATE='{ char *one = (char *)malloc(100); *(volatile char *)one = 1; free(one); }', outcome=CRASHED),
    'robust.memory_call': dict(CALL='{ char *one = (char *)malloc(100); *(volatile char *)one = 1; free(one); }', outcome=CRASHED),
    'robust.descriptors': dict(CALL='{ int one = open("/dev/null", O_RDONLY); if (one < 0) abort(); close(one); }',
                               outcome=CRASHED),
    'robust.full_disk': dict(CALL='''{ FILE *one = fopen("cache", "w"); if (one == NULL) abort();
  for (int i = 0; i < 3000; ++i) if (fputs("0123456789012345678901234567890123456789", one) < 0) abort();
  if (fclose(one) != 0) abort(); }''', outcome=CRASHED),
    'robust.read_only': dict(CALL='{ int one = open("cache", O_CREAT | O_WRONLY, 0600); if (one < 0) abort(); close(one); }',
                             outcome=CRASHED),
    'robust.interrupts': dict(CALL='if (usleep(20000) != 0) abort();', outcome=CRASHED),
    'robust.small_stack': dict(CALL='{ volatile char many[1 << 20]; for (size_t i = 0; i < sizeof many; i += 1024) many[i] = 1; }',
                               outcome=CRASHED),
    'robust.streams': dict(CALL='if (write(1, "", 0) != 0) abort();', outcome=CRASHED),
    'robust.random_config': dict(manifest=set_in(config=CONFIG), CREATE="if (config.len > 0 && config.ptr[config.len - 1] != '}') abort();",
                                 outcome=CRASHED),

    # The end.
    'unload.unused': dict(DESTROY='if (me->calls == 0) abort();', outcome=CRASHED),
    'unload.unstarted': dict(DESTROY='if (!me->started) abort();', outcome=CRASHED),
    'unload.repeat': dict(GLOBALS='static int lives;', CREATE='if (++lives > 10) return RAI_RESOURCE_EXHAUSTED;'),
    'unload.threads': dict(GLOBALS=SLEEPER, START='begin_sleeper();'),
    'unload.descriptors': dict(CREATE='(void)!open("/dev/null", O_RDONLY);'),
    'unload.memory': dict(CREATE='memset(malloc(8192), 1, 8192);'),
    'unload.subscriptions': dict(GLOBALS='static void heard(void *a, rai_str b, rai_str c) { (void)a, (void)b, (void)c; }',
                                 START='me->host->subscribe(me->host->self, text("x.*"), heard, me);'),
    'unload.services': dict(START='''rai_service more; memset(&more, 0, sizeof more); more.struct_size = sizeof more;
  more.call = call; more.self = me; me->host->provide(me->host->self, text("rustic.tool/more"), text("{}"), &more);'''),
    'unload.silent': dict(GLOBALS='''static void *late(void *host) { usleep(20000);
  ((const rai_host *)host)->log(((const rai_host *)host)->self, RAI_LOG_INFO, 0, text("late")); return NULL; }''',
                          DESTROY='{ pthread_t one; pthread_create(&one, NULL, late, (void *)me->host); pthread_detach(one); }'),
    'unload.in_flight': dict(THREAD_US='300000', GLOBALS='static int cancels;', CANCEL='++cancels; finish(me, RAI_CANCELLED, "{\\"message\\":\\"x\\"}");',
                             DESTROY='if (cancels > 0) abort();', outcome=CRASHED),
    'unload.stop_in_flight': dict(THREAD_US='300000', GLOBALS='static int open_calls;',
                                  CALL='__atomic_fetch_add(&open_calls, 1, __ATOMIC_SEQ_CST);',
                                  FINISHED='__atomic_fetch_sub(&open_calls, 1, __ATOMIC_SEQ_CST);',
                                  STOP='if (open_calls > 0) abort();', outcome=CRASHED),
    'unload.quick': dict(STOP='usleep(2000000);'),
    'unload.process': dict(START='signal(SIGUSR1, SIG_IGN);'),
    'unload.temporary': dict(START='''{ char name[4096]; snprintf(name, sizeof name, "%s/left", getenv("TMPDIR"));
  close(open(name, O_CREAT | O_WRONLY, 0600)); }''', outcome=WARNING),
    'unload.exit': dict(AT_EXIT='abort();', outcome=CRASHED),
    'unload.exit_running': dict(GLOBALS='static int alive;', START='alive = 1;', DESTROY='alive = 0;',
                                AT_EXIT='if (alive) abort();', outcome=CRASHED),
    'unload.save': dict(SAVE='return RAI_INTERNAL;', RESTORE=''),
    'unload.restore': dict(SAVE='state->append(state->self, text("kept"));', RESTORE='return RAI_INTERNAL;'),
    'unload.restore_junk': dict(SAVE='state->append(state->self, text("kept"));', RESTORE='if (!is(state, "kept")) abort();',
                                outcome=CRASHED),

    # What it costs.
    'performance.size': dict(GLOBALS='static volatile char many[64 << 20];', CREATE='many[1] = 1;', outcome=WARNING),
    'performance.open': dict(ON_LOAD='usleep(150000);', outcome=WARNING),
    'performance.create': dict(CREATE='usleep(150000);', outcome=WARNING),
    'performance.call': dict(CALL='usleep(60000);', outcome=WARNING),
    'performance.stop': dict(STOP='usleep(150000);', outcome=WARNING),
    'performance.idle': dict(GLOBALS='''static void *busy(void *self) { while (!*(volatile int *)&((plugin *)self)->stopping) { } return NULL; }''',
                             START='pthread_create(&me->thread, NULL, busy, me);', STOP='pthread_join(me->thread, NULL);', outcome=WARNING),

    # A storage that says yes to everything.
    ' '.join('storage.' + name for name in (
        'sessions', 'listing', 'deletion', 'messages', 'ranges', 'search', 'state', 'journals', 'leases', 'apply',
        'trimming', 'refusals', 'large', 'concurrency', 'stats')): dict(
            manifest=provide('rustic.storage/1', 'base'), PROVIDED='rustic.storage/base', METHOD='', ARGUMENTS='',
            EVENT='break;', ANSWER='"{}"'),
    # A provider that says the same whatever the server says.
    ' '.join('provider.' + name for name in (
        'plain', 'pieces', 'usage', 'tool_call', 'rate_limit', 'retry_after', 'server_error', 'cut', 'malformed',
        'no_choices')): dict(
            manifest=provide('rustic.provider/1', 'base', type='openai'), PROVIDED='rustic.provider/base',
            TARGET='rustic.http/default', wants='rustic.http/default', METHOD='', ARGUMENTS='', EVENT='break;',
            ANSWER='"{\\"message\\":{\\"role\\":\\"assistant\\",\\"parts\\":[]},\\"finish_reason\\":\\"other\\"}"'),
}

# Further faults that a check has to notice: (check, fault).
MORE_FAULTS = [
    ('import.libraries', dict(library='rustic_in_a_folder', library_by_path=True)),
    ('contract.descriptors', dict(CALL='if (!holds(request->body, "\\"text\\"")) (void)!open("/dev/null", O_RDONLY);')),
    ('contract.memory', dict(THREAD_US='5000', CANCEL='*(volatile char *)malloc(65536) = 1;'
                             'finish(me, RAI_CANCELLED, "{\\"message\\":\\"x\\"}");')),
    ('contract.output', dict(STOP='(void)!write(2, "bye\\n", 4);')),
    ('unload.descriptors', dict(CALL='close(0);')),
    # What only gives warnings must not hide a crash.
    ('performance.idle', dict(GLOBALS='''static void *dies(void *self) { (void)self; usleep(150000); abort(); return NULL; }''',
                              START='{ pthread_t one; pthread_create(&one, NULL, dies, NULL); pthread_detach(one); }',
                              outcome=CRASHED)),
]
