#include "host/cli/question_desk.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "host/cli/terminal.hpp"

namespace rustic::cli {

question_desk::question_desk(runtime::host_services& services, bool color)
    : color_(color), services_(services), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) {
  services_.provide_later("rustic.ask/default", [this](runtime::host_services::question asked) {
    std::uint64_t number = 0;
    {
      std::scoped_lock lock(mutex_);
      number = next_++;
      *asked.on_cancel = [this, number] { withdraw(number); };
      queue_.push_back({number, std::move(asked)});
    }
    const std::uint64_t one = 1;
    (void)!write(wake_, &one, sizeof(one));
  });
}

question_desk::~question_desk() {
  services_.withdraw("rustic.ask/default");
  std::deque<waiting> left;
  {
    std::scoped_lock lock(mutex_);
    left.swap(queue_);
  }
  for (auto& one : left) {
    *one.question.on_cancel = nullptr;
    one.question.answer(status_code::cancelled, R"({"message":"nobody is there to answer"})");
  }
  close(wake_);
}

void question_desk::withdraw(std::uint64_t number) {
  std::optional<waiting> gone;
  {
    std::scoped_lock lock(mutex_);
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
  const auto& choices = array_or_empty(body, "choices");
  std::string text = "\n" + std::string(color_ ? "\x1b[1m" : "") +
                     visible(text_or(body, "title")) + std::string(color_ ? "\x1b[0m" : "") + "\n";
  if (const auto more = text_or(body, "body"); !more.empty()) text += visible(more) + "\n";
  if (kind == "text" || kind == "secret") {
    std::fprintf(stderr, "%s> ", text.c_str());
    const auto line = read_line(signals, kind == "secret");
    if (!line.text) return line.signal;
    answer["answer"] = *line.text;
    return std::nullopt;
  }
  for (const auto& value : choices) {
    const auto& choice = value.as_object();
    text += "  [" + std::string(text_or(choice, "key", "?")) + "] " +
            visible(text_or(choice, "label", text_or(choice, "id"))) + "\n";
  }
  std::fputs(text.c_str(), stderr);
  for (;;) {
    const auto key = read_key(signals);
    if (key.signal) return key.signal;
    if (!key.value) {  // end of input: nobody answers any more
      answer["answer"] = "deny";
      return std::nullopt;
    }
    for (const auto& value : choices) {
      const auto& choice = value.as_object();
      if (text_or(choice, "key") != std::string_view(&*key.value, 1)) continue;
      answer["answer"] = text_or(choice, "id");
      if (kind == "permission" && text_or(choice, "id") == "deny") {
        std::fputs("Why not? (Enter for no reason) ", stderr);
        const auto line = read_line(signals, false);
        if (!line.text) return line.signal;
        if (!line.text->empty()) answer["reason"] = to_utf8(*line.text);
      }
      return std::nullopt;
    }
  }
}

std::optional<int> question_desk::serve(signal_watch& signals) {
  std::uint64_t count = 0;
  (void)!read(wake_, &count, sizeof(count));
  std::optional<waiting> next;
  {
    std::scoped_lock lock(mutex_);
    if (queue_.empty()) return std::nullopt;  // withdrawn meanwhile
    next.emplace(std::move(queue_.front()));
    queue_.pop_front();
  }
  json::object answer;
  std::optional<int> signal;
  try {
    signal = put(parse_object(next->question.body), signals, answer);
  } catch (const failure&) {
    next->question.answer(status_code::invalid_argument, R"({"message":"the question cannot be read"})");
    return std::nullopt;
  }
  if (answer.empty())
    next->question.answer(status_code::cancelled, R"({"message":"interrupted"})");
  else
    next->question.answer(status_code::ok, json::serialize(answer));
  return signal;
}
}  // namespace rustic::cli
