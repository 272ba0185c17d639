/* The parts by themselves (JSON, the list, the file and its damages), then the built plugin. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <rustic/abi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json_text.h"
#include "log_map.h"

static int failures;

static void check(int holds, const char* what, const char* shown) {
  if (holds) return;
  fprintf(stderr, "%s: %s\n", what, shown);
  ++failures;
}

/* --- JSON --- */

static void json_cases(void) {
  static const char* const good[] = {"{}",
                                     " [1, -0.5e+7,true,null] ",
                                     "\"\\u00e9\\ud83d\\ude00\"",
                                     "{\"a\":{\"b\":[[]]},\"c\":\"\"}",
                                     "0",
                                     "\"\xc3\xa9\""};
  static const char* const bad[] = {"",
                                    "{",
                                    "{} x",
                                    "[1,]",
                                    "{\"a\":}",
                                    "{\"a\" 1}",
                                    "{a:1}",
                                    "[1}",
                                    "01",
                                    "1.",
                                    "-",
                                    "nul",
                                    "\"\n\"",
                                    "\"\\x\"",
                                    "\"\\",
                                    "\"\\u12g4\"",
                                    "\"\\ud83d x\"",
                                    "\"\xff\"",
                                    "\"\xc0\x80\"",
                                    ",",
                                    "[,1]",
                                    "{,}",
                                    "\"\\udc00\"",
                                    "1e",
                                    "[1 2]",
                                    "{\"a\":1,}",
                                    "]",
                                    "[[]"};
  for (size_t i = 0; i < sizeof good / sizeof *good; ++i)
    check(json_is_value((rai_str){good[i], strlen(good[i])}), "JSON that is refused", good[i]);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i)
    check(!json_is_value((rai_str){bad[i], strlen(bad[i])}), "no JSON, but taken", bad[i]);
  char deep[200];
  memset(deep, '[', 100), memset(deep + 100, ']', 100);
  check(!json_is_value((rai_str){deep, 200}), "deep nesting", "taken");
  check(json_is_value((rai_str){deep + 40, 120}), "60 levels", "refused");

  const rai_str object =
      TEXT(" {\"a\" : [1, {\"b\":\"}\\\"]\"}] ,\"\\u0063\":null,\"a\":\"x\\\\\"}");
  rai_str item;
  size_t at = 0;
  check(text_equal(json_member(object, "a"), "\"x\\\\\""), "the last of equal members", "not it");
  check(text_equal(json_member(object, "c"), "null"), "a name with an escape", "not found");
  check(json_member(object, "d").len == 0, "a member that is not there", "found");
  const rai_str list = json_first_member(object, "a");
  check(json_next(list, &at, &item) && text_equal(item, "1"), "an item", "not");
  check(json_next(list, &at, &item) && text_equal(item, "{\"b\":\"}\\\"]\"}"), "the next", "not");
  check(!json_next(list, &at, &item), "the end of the list", "not");
  char decoded[16];
  const size_t bytes = json_decode(TEXT("a\\u00e9\\ud83d\\ude00\\n"), decoded);
  check(text_equal((rai_str){decoded, bytes}, "a\xc3\xa9\xf0\x9f\x98\x80\n"), "decoding", "not");

  static const struct {
    const char* text;
    int is_integer;
    int64_t value;
  } numbers[] = {{"7", 1, 7},          {"-9223372036854775808", 1, INT64_MIN},
                 {"3.0", 1, 3},        {"3E0", 1, 3},
                 {"1.5e1", 1, 15},     {"-20e-1", 1, -2},
                 {"0e9", 1, 0},        {"1.5", 0, 0},
                 {"1e19", 0, 0},       {"9223372036854775808", 0, 0},
                 {"1e-1", 0, 0},       {"\"1\"", 0, 0},
                 {"1e99999999", 0, 0}, {"10.00", 1, 10}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i) {
    int64_t value = 0;
    const int is_integer =
        json_integer((rai_str){numbers[i].text, strlen(numbers[i].text)}, &value);
    check(is_integer == numbers[i].is_integer && (!is_integer || value == numbers[i].value),
          "a number", numbers[i].text);
  }
}

/* --- The map and its file --- */

static char folder[64], file[128];

static void new_folder(void) {
  snprintf(folder, sizeof folder, "/tmp/plain-store-XXXXXX");
  if (!mkdtemp(folder)) abort();
  snprintf(file, sizeof file, "%s/new/data", folder);
}
static void remove_folder(void) {
  static const char* const names[] = {"new/data", "new/data.lock", "new/data.new", "new", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    char path[192];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    remove(path);
  }
}

static void forget(struct problem* problem) {
  text_free(&problem->message);
  text_free(&problem->hint_text);
  text_free(&problem->details);
}

static struct log_map* open_map(void) {
  struct problem problem = {0};
  struct log_map* const map = malloc(sizeof *map);
  if (!map) abort();
  log_map_init(map, 1 << 26);
  const rai_str path = {file, strlen(file)};
  if (log_map_open(map, path, &problem) != RAI_OK) abort();
  return map;
}
static void close_map(struct log_map* map) {
  log_map_close(map);
  free(map);
}

static rai_status put(struct log_map* map, const char* key, const char* value) {
  struct problem problem = {0};
  rai_status status = log_map_begin(map, &problem);
  if (status == RAI_OK) {
    const rai_str name = {key, strlen(key)};
    status = value ? log_map_put(map, name, (rai_str){value, strlen(value)}, &problem)
                   : log_map_erase(map, name, &problem);
    if (status == RAI_OK) status = log_map_commit(map, &problem);
    log_map_end(map);
  }
  forget(&problem);
  return status;
}

/* The values of "a" and "b", or the status. */
static const char* state(struct log_map* map) {
  static char shown[64];
  struct problem problem = {0};
  const rai_status status = log_map_begin(map, &problem);
  snprintf(shown, sizeof shown, "status %d", status);
  if (status == RAI_OK) {
    const struct entry* const a = log_map_find(map, TEXT("a"));
    const struct entry* const b = log_map_find(map, TEXT("b"));
    const rai_str none = TEXT("-");
    snprintf(shown, sizeof shown, "%.*s %.*s", SHOWN(a ? entry_value(a) : none),
             SHOWN(b ? entry_value(b) : none));
    log_map_end(map);
  }
  forget(&problem);
  return shown;
}

static void map_cases(void) {
  struct log_map *const one = open_map(), *const other = open_map();
  struct problem problem = {0};
  put(one, "a", "1");
  check(strcmp(state(other), "1 -") == 0, "what is finished others see", state(other));
  if (log_map_begin(other, &problem) == RAI_OK) {
    log_map_put(other, TEXT("a"), TEXT("2"), &problem);
    log_map_put(other, TEXT("b"), TEXT("2"), &problem);
    log_map_erase(other, TEXT("a"), &problem);
    log_map_put(other, TEXT("a"), TEXT("3"), &problem);
    log_map_erase(other, TEXT("b"), &problem);
    log_map_end(other);
  }
  check(strcmp(state(other), "1 -") == 0, "what is not committed is taken back", state(other));
  check(other->live_bytes == one->live_bytes, "and counts no more", "it does");
  char* const large = malloc(200001);
  if (!large) abort();
  for (int i = 0; i < 40; ++i) {
    memset(large, 'a' + i % 26, 200000);
    large[200000] = '\0';
    check(put(one, "large", large) == RAI_OK, "a large value", "refused");
  }
  free(large);
  struct stat found;
  check(stat(file, &found) == 0 && found.st_size < 3000000, "the file", "grows without end");
  check(strcmp(state(other), "1 -") == 0, "others follow the new file", state(other));
  put(other, "b", "after");
  check(strcmp(state(one), "1 after") == 0, "both go on", state(one));
  if (log_map_begin(one, &problem) == RAI_OK) {
    check(log_map_put(one, TEXT("x"), (rai_str){(const char*)one, (size_t)1 << 27}, &problem) ==
              RAI_RESOURCE_EXHAUSTED,
          "more than max_bytes", "taken");
    log_map_end(one);
  }
  forget(&problem);
  close_map(one);
  close_map(other);
}

static char* read_file(size_t* bytes) {
  static char content[4096];
  const int from = open(file, O_RDONLY | O_CLOEXEC);
  const ssize_t got = from < 0 ? -1 : read(from, content, sizeof content);
  if (got < 0) abort();
  close(from);
  *bytes = (size_t)got;
  return content;
}
static const char* state_of(const char* content, size_t bytes) {
  const int to = open(file, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
  if (to < 0 || write(to, content, bytes) != (ssize_t)bytes) abort();
  close(to);
  struct log_map* const map = open_map();
  const char* const found = state(map);
  close_map(map);
  return found;
}

/* Whatever becomes of the file: what is read is what some transaction had left, or an error. */
static void damage_cases(void) {
  static const char* const before[] = {"- -", "1 -", "22 -", "22 333"};
  struct log_map* const map = open_map();
  put(map, "a", "1"), put(map, "a", "22"), put(map, "b", "333");
  close_map(map);
  size_t bytes, step = 0;
  char whole[4096];
  memcpy(whole, read_file(&bytes), sizeof whole);
  for (size_t cut = 0; cut <= bytes; ++cut) {
    const char* const found = state_of(whole, cut);
    if (step < 3 && strcmp(found, before[step + 1]) == 0) ++step;
    check(strcmp(found, before[step]) == 0, "a file that was cut short", found);
  }
  check(step == 3, "the whole file", "has not everything");
  for (size_t at = 0; at < bytes; ++at) {
    whole[at] ^= 0x21;
    const char* const found = state_of(whole, bytes);
    /* A wrong byte in the last record looks as if a crash had cut it short. */
    check(strcmp(found, "status 15") == 0 || strcmp(found, "status 9") == 0 ||
              strcmp(found, before[2]) == 0,
          "a file with a wrong byte", found);
    whole[at] ^= 0x21;
  }
  memset(whole + bytes, 0, 100);
  check(strcmp(state_of(whole, bytes + 100), before[3]) == 0, "zeros behind the end", "believed");
  size_t mended;
  read_file(&mended);
  check(mended == bytes, "what a crash left behind", "is still there");
}

static void processes_case(void) {
  enum { PROCESSES = 3, ROUNDS = 30 };
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; ++i) {
    children[i] = fork();
    if (children[i] != 0) continue;
    struct log_map* const map = open_map();
    for (int round = 0; round < ROUNDS; ++round) {
      struct problem problem = {0};
      char number[16];
      if (log_map_begin(map, &problem) != RAI_OK) _exit(1);
      const struct entry* const entry = log_map_find(map, TEXT("a"));
      const int value = entry ? atoi(entry_value(entry).ptr) : 0;
      const size_t digits = (size_t)snprintf(number, sizeof number, "%d ", value + 1);
      if (log_map_put(map, TEXT("a"), (rai_str){number, digits}, &problem) != RAI_OK) _exit(2);
      if (log_map_commit(map, &problem) != RAI_OK) _exit(3);
      log_map_end(map);
    }
    close_map(map);
    _exit(0);
  }
  for (int i = 0; i < PROCESSES; ++i) {
    int status = 0;
    check(waitpid(children[i], &status, 0) == children[i] && status == 0, "a process", "fails");
  }
  struct log_map* const map = open_map();
  check(strcmp(state(map), "90  -") == 0, "no change of another is lost", state(map));
  close_map(map);
}

static void crash_case(void) {
  int told[2], last = -1;
  if (pipe(told) != 0) abort();
  const pid_t child = fork();
  if (child == 0) {
    struct log_map* const map = open_map();
    for (int i = 0;; ++i) {
      char number[16];
      snprintf(number, sizeof number, "%d", i);
      if (put(map, "a", number) != RAI_OK || write(told[1], &i, sizeof i) != sizeof i) _exit(1);
    }
  }
  close(told[1]);
  while (last < 30 && read(told[0], &last, sizeof last) == sizeof last) continue;
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  while (read(told[0], &last, sizeof last) == sizeof last) continue;
  close(told[0]);
  struct log_map* const map = open_map();
  const int found = atoi(state(map));
  /* The kill may have come between the write and the word about it. */
  check(found == last || found == last + 1, "what was told outlives a kill", state(map));
  close_map(map);
}

/* --- The plugin --- */

struct world { /* of the host */
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int finishes;
  rai_status status;
  char body[2048];
};

static void finish(void* self, rai_call call, rai_status status, rai_str body) {
  struct world* const world = self;
  (void)call;
  pthread_mutex_lock(&world->mutex);
  world->finishes++;
  world->status = status;
  snprintf(world->body, sizeof world->body, "%.*s", SHOWN(body));
  pthread_cond_signal(&world->changed);
  pthread_mutex_unlock(&world->mutex);
}

static rai_status ask(struct world* world, const rai_service* service, const char* method,
                      const char* body) {
  const rai_request request = {.struct_size = sizeof request,
                               .method = {method, strlen(method)},
                               .body = {body, strlen(body)}};
  rai_op op = {.struct_size = sizeof op};
  world->finishes = 0;
  service->call(service->self, &request, 7, &op);
  pthread_mutex_lock(&world->mutex);
  while (world->finishes == 0) pthread_cond_wait(&world->changed, &world->mutex);
  pthread_mutex_unlock(&world->mutex);
  check(world->finishes == 1, "one finish", world->body);
  if (RAI_HAS(&op, release)) op.release(op.self);
  return world->status;
}

static int plugin_cases(void) {
  struct world world = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  const rai_host host = {.struct_size = sizeof host, .self = &world, .finish = finish};
  char config[256];
  void* const library = dlopen(PLUGIN_FILE, RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
  rai_status (*entry)(uint32_t, rai_plugin*);
  *(void**)&entry = dlsym(library, "rai_plugin_entry_v1");
  snprintf(config, sizeof config, "{\"connection_string\":\"%s\",\"max_history_size\":2}", file);
  for (int life = 0; life < 2; ++life) {
    rai_plugin plugin = {.struct_size = sizeof plugin};
    rai_service service = {.struct_size = sizeof service};
    void* self = NULL;
    if (!entry || entry(RAI_ABI_MINOR, &plugin) != RAI_OK) return 1;
    check(plugin.create(&host, TEXT("{}"), NULL, &self) == RAI_INVALID_ARGUMENT, "no path",
          "taken");
    if (plugin.create(&host, (rai_str){config, strlen(config)}, NULL, &self) != RAI_OK) return 1;
    if (plugin.start(self, NULL) != RAI_OK) return 1;
    if (plugin.service(self, TEXT("rustic.storage/plain-store"), &service) != RAI_OK) return 1;
    const rai_status made = ask(&world, &service, "session.create",
                                "{\"session\":{\"id\":\"s\",\"created_at_ms\":1,"
                                "\"updated_at_ms\":1,\"title\":\"A \\\"t\\\"\"}}");
    check(made == (life == 0 ? RAI_OK : RAI_ALREADY_EXISTS), "a session is kept", world.body);
    for (int i = 0; life == 0 && i < 3; ++i)
      check(ask(&world, &service, "messages.append",
                "{\"session\":\"s\",\"messages\":[{\"role\":\"user\",\"created_at_ms\":2,"
                "\"parts\":[{\"type\":\"text\",\"text\":\"Good \\u004dorning\"}]}]}") == RAI_OK,
            "a message", world.body);
    check(ask(&world, &service, "messages.range", "{\"session\":\"s\"}") == RAI_OK &&
              strstr(world.body, "{\"seq\":2,") && strstr(world.body, "Good \\u004dorning") &&
              !strstr(world.body, "{\"seq\":1,"),
          "the messages come back as they were", world.body);
    check(ask(&world, &service, "messages.search", "{\"query\":\"MORNING\"}") == RAI_OK &&
              strstr(world.body, "\"seq\":3"),
          "and are found", world.body);
    check(ask(&world, &service, "apply",
              "{\"operations\":[{\"method\":\"session.delete\",\"id\":\"s\"},"
              "{\"method\":\"session.get\",\"id\":\"none\"}]}") == RAI_NOT_FOUND &&
              strstr(world.body, "\"index\":1"),
          "a failed apply says where", world.body);
    check(ask(&world, &service, "session.get", "{\"id\":\"s\"}") == RAI_OK &&
              strstr(world.body, "A \\\"t\\\"") && strstr(world.body, "\"message_count\":2"),
          "and changes nothing", world.body);
    check(ask(&world, &service, "no.such", "{}") == RAI_UNIMPLEMENTED, "no method", world.body);
    plugin.stop(self);
    check(ask(&world, &service, "stats", "{}") == RAI_UNAVAILABLE, "after the stop", world.body);
    plugin.destroy(self);
  }
  return 0;
}

int main(void) {
  static void (*const cases[])(void) = {map_cases, damage_cases, processes_case, crash_case};
  json_cases();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    new_folder();
    cases[i]();
    remove_folder();
  }
  new_folder();
  const int broken = plugin_cases();
  remove_folder();
  return failures + broken != 0;
}
