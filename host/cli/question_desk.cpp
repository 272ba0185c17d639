#include "host/cli/question_desk.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "host/cli/terminal.hpp"

namespace rustic::cli {
namespace {
void set(int event) {
  const std::uint64_t one = 1;
  (void)!write(event, &one, sizeof(one));
}

void take_one(int event) {
  std::uint64_t count = 0;
  (void)!read(event, &count, sizeof(count));
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
}  // namespace

question_desk::question_desk(runtime::host_services& services, bool color,
                             std::function<void()> before)
    : color_(color),
      services_(services),
      before_(std::move(before)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)),
      withdrawn_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  services_.provide_later("rustic.ask/default", [this](runtime::host_services::question asked) {
    {
      std::scoped_lock lock(mutex_);
      const auto number = next_++;
      *asked.on_cancel = [this, number] { withdraw(number); };
      queue_.push_back({number, std::move(asked)});
    }
    set(wake_);
  });
}

question_desk::~question_desk() {
  services_.withdraw("rustic.ask/default");
  std::deque<waiting> left;
  {
    std::scoped_lock lock(mutex_);
    left.swap(queue_);
  }
  for (auto& one : left)
    one.question.answer(status_code::cancelled, R"({"message":"nobody is there to answer"})");
  close(wake_);
  close(withdrawn_);
}

void question_desk::withdraw(std::uint64_t number) {
  std::optional<waiting> gone;
  {
    std::scoped_lock lock(mutex_);
    if (number == shown_) set(withdrawn_);
    const auto found = std::find_if(queue_.begin(), queue_.end(),
                                    [&](const waiting& one) { return one.number == number; });
    if (found == queue_.end()) return;
    gone.emplace(std::move(*found));
    queue_.erase(found);
  }
  gone->question.answer(status_code::cancelled, R"({"message":"the question was withdrawn"})");
}

std::optional<int> question_desk::put(const json::object& body, signal_watch& signals,
                                      json::object& answer) {
  const auto kind = text_or(body, "kind");
  const bool typed = kind == "text" || kind == "secret";
  std::string text = "\n" + std::string(color_ ? "\x1b[1m" : "") + visible(text_or(body, "title")) +
                     std::string(color_ ? "\x1b[0m" : "") + "\n";
  if (const auto more = text_or(body, "body"); !more.empty()) text += visible(more) + "\n";
  if (!typed) {
    std::string keys;
    for (const auto& value : array_or_empty(body, "choices")) {
      const auto& choice = value.as_object();
      const std::string key(text_or(choice, "key", "?"));
      keys += (keys.empty() ? "" : ", ") + key;
      text += "  [" + visible(key) + "] " +
              visible(text_or(choice, "label", text_or(choice, "id"))) + "\n";
    }
    if (keys.empty()) throw failure(status_code::invalid_argument, "the question has no choices");
    text += "Press " + visible(keys) + ". ";
  } else {
    text += "> ";
  }
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (!typed) return choose(body, text, signals, answer);
  const auto line = read_line(signals, kind == "secret", withdrawn_);
  if (!line.text) return line.signal;
  answer["answer"] = to_utf8(*line.text);
  return std::nullopt;
}

std::optional<int> question_desk::choose(const json::object& body, const std::string& question,
                                         signal_watch& signals, json::object& answer) {
  const bool permission = text_or(body, "kind") == "permission";
  const auto& choices = array_or_empty(body, "choices");
  for (;;) {
    const auto key = read_key(signals, withdrawn_, question);
    if (key.withdrawn) {
      std::puts("(the question was withdrawn)");
      return std::nullopt;
    }
    if (key.signal) {
      std::puts("");
      return key.signal;
    }
    if (!key.value || *key.value == '\x1b') {  // Escape, or the end of the input
      if (!permission) return std::nullopt;
      answer["answer"] = "deny";
      std::puts("No.");
      return std::nullopt;
    }
    for (const auto& value : choices) {
      const auto& choice = value.as_object();
      const auto wanted = text_or(choice, "key");
      if (wanted.size() != 1 || lower(wanted[0]) != lower(*key.value)) continue;
      answer["answer"] = text_or(choice, "id");
      std::printf("%s\n", visible(text_or(choice, "label", text_or(choice, "id"))).c_str());
      if (!permission || text_or(choice, "id") != "deny") return std::nullopt;
      std::fputs("Why not? (Enter for no reason) ", stdout);
      std::fflush(stdout);
      const auto line = read_line(signals, false, withdrawn_);
      if (!line.text) {
        if (line.signal) answer.clear();
        std::puts("");
        return line.signal;
      }
      if (!line.text->empty()) answer["reason"] = to_utf8(*line.text);
      return std::nullopt;
    }
  }
}

std::optional<int> question_desk::serve(signal_watch& signals) {
  take_one(wake_);
  std::optional<waiting> next;
  {
    std::scoped_lock lock(mutex_);
    if (queue_.empty()) return std::nullopt;  // withdrawn meanwhile
    next.emplace(std::move(queue_.front()));
    queue_.pop_front();
    shown_ = next->number;
    take_one(withdrawn_);
  }
  if (before_) before_();
  // Keys from before the question was there are no answer to it.
  drop_typed_ahead();
  json::object answer;
  std::optional<int> signal;
  bool readable = true;
  try {
    signal = put(parse_object(next->question.body), signals, answer);
  } catch (...) {  // whatever a plugin sent
    readable = false;
  }
  {
    std::scoped_lock lock(mutex_);
    shown_ = 0;
  }
  if (!readable)
    next->question.answer(status_code::invalid_argument,
                          R"({"message":"the question cannot be read"})");
  else if (answer.empty())
    next->question.answer(status_code::cancelled, R"({"message":"interrupted"})");
  else
    next->question.answer(status_code::ok, json::serialize(answer));
  return signal;
}
}  // namespace rustic::cli
