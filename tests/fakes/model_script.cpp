#include "model_script.hpp"

#include <algorithm>
#include <stdexcept>

#include "limits.hpp"

namespace rustic::fakes {
namespace {

namespace json = boost::json;

[[noreturn]] void refuse(std::size_t number, std::string_view what) {
  throw std::runtime_error("script, step " + std::to_string(number) + ": " + std::string(what));
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.as_string()) : json::serialize(value);
}

std::vector<std::string> texts_of(const json::value& value) {
  std::vector<std::string> out;
  if (value.is_array()) {
    for (const json::value& one : value.as_array()) out.push_back(text_of(one));
  } else {
    out.push_back(text_of(value));
  }
  return out;
}

scripted_call call_of(const json::value& value) {
  scripted_call out;
  const json::object& object = value.as_object();
  out.name = json::value_to<std::string>(object.at("name"));
  if (const auto* arguments = object.if_contains("arguments")) out.arguments = text_of(*arguments);
  if (const auto* id = object.if_contains("id")) out.id = text_of(*id);
  return out;
}

framing framing_of(const json::value& value) {
  if (value == "chunked") return framing::chunked;
  if (value == "length") return framing::length;
  if (value == "until_close") return framing::until_close;
  throw std::runtime_error("must be chunked, length or until_close");
}

void read_member(step& out, std::string_view key, const json::value& value) {
  const auto size = [&] { return value.to_number<std::size_t>(); };
  if (key == "path")
    out.path = text_of(value);
  else if (key == "match")
    out.match = text_of(value);
  else if (key == "times")
    out.times = size();
  else if (key == "text")
    out.text = texts_of(value);
  else if (key == "repeat")
    out.repeat = size();
  else if (key == "reasoning")
    out.reasoning = texts_of(value);
  else if (key == "tool_calls")
    for (const auto& one : value.as_array()) out.tool_calls.push_back(call_of(one));
  else if (key == "argument_bytes")
    out.argument_bytes = size();
  else if (key == "finish_reason")
    out.finish_reason = text_of(value);
  else if (key == "usage")
    out.usage = value.as_object();
  else if (key == "no_usage")
    out.no_usage = value.as_bool();
  else if (key == "no_finish")
    out.no_finish = value.as_bool();
  else if (key == "no_done")
    out.no_done = value.as_bool();
  else if (key == "malformed")
    out.malformed = value.as_bool();
  else if (key == "body")
    out.body = text_of(value);
  else if (key == "status")
    out.status = value.to_number<int>();
  else if (key == "content_type")
    out.content_type = text_of(value);
  else if (key == "headers") {
    for (const auto& pair : value.as_array()) {
      out.headers.emplace_back(text_of(pair.as_array().at(0)), text_of(pair.as_array().at(1)));
    }
  } else if (key == "framing")
    out.frame = framing_of(value);
  else if (key == "gzip")
    out.gzip = value.as_bool();
  else if (key == "close")
    out.close = value.as_bool();
  else if (key == "write_bytes")
    out.write_bytes = size();
  else if (key == "delay_ms")
    out.delay_ms = value.to_number<std::int64_t>();
  else if (key == "piece_delay_ms")
    out.piece_delay_ms = value.to_number<std::int64_t>();
  else if (key == "stall_before_head")
    out.stall_before_head = value.as_bool();
  else if (key == "stall_after_events")
    out.stall_after_events = size();
  else if (key == "cut_after_bytes")
    out.cut_after_bytes = size();
  else if (key == "cut") {
    if (value != "close" && value != "reset") throw std::runtime_error("must be close or reset");
    out.reset = value == "reset";
  } else if (key == "loop") {
    const json::object& object = value.as_object();
    step::tool_loop loop;
    loop.call.name = json::value_to<std::string>(object.at("tool"));
    if (const auto* arguments = object.if_contains("arguments"))
      loop.call.arguments = text_of(*arguments);
    if (const auto* rounds = object.if_contains("rounds"))
      loop.rounds = rounds->to_number<std::size_t>();
    if (const auto* calls = object.if_contains("calls"))
      loop.calls = calls->to_number<std::size_t>();
    if (const auto* text = object.if_contains("text")) out.text = texts_of(*text);
    out.loop = std::move(loop);
  } else
    throw std::runtime_error("no such member");
}

step read_step(const json::value& value, std::size_t number) {
  if (!value.is_object()) refuse(number, "must be an object");
  step out;
  const json::object& object = value.as_object();
  if (object.contains("loop")) out.times = 0;
  for (const auto& [key, member] : object) {
    try {
      read_member(out, key, member);
    } catch (const std::exception& problem) {
      refuse(number, std::string(key) + ": " + problem.what());
    }
  }
  if (out.text.size() * std::max<std::size_t>(out.repeat, 1) > limits::events_max) {
    refuse(number, "more events than allowed");
  }
  return out;
}

// How many results of tools stand behind the last message of a user. Read from the text, because a
// long conversation would cost more to parse than to answer.
std::size_t results_since_user(std::string_view body) {
  std::size_t begin = 0;
  for (const std::string_view user : {R"("role":"user")", R"("role": "user")"}) {
    if (const std::size_t at = body.rfind(user); at != std::string_view::npos) {
      begin = std::max(begin, at);
    }
  }
  std::size_t count = 0;
  // Inside a text the quotes are escaped, so this is found as a member only.
  constexpr std::string_view member = R"("tool_call_id")";
  for (std::size_t at = body.find(member, begin); at != std::string_view::npos;
       at = body.find(member, at + member.size())) {
    ++count;
  }
  return count;
}

bool wants_stream(std::string_view body) {
  return body.find(R"("stream":true)") != std::string_view::npos ||
         body.find(R"("stream": true)") != std::string_view::npos;
}

// What this answer says: the step itself, or one round of its loop.
struct speech {
  std::vector<std::string> text;
  std::vector<scripted_call> calls;
  std::string finish;
  json::object usage;
  std::string id;
};

speech prepare(const step& one, std::size_t number, std::string_view body) {
  speech out;
  out.text = one.text;
  out.calls = one.tool_calls;
  if (one.loop) {
    out.calls.clear();
    const std::size_t done = results_since_user(body) / std::max<std::size_t>(one.loop->calls, 1);
    if (done < one.loop->rounds) {
      out.text.clear();
      out.calls.assign(one.loop->calls, one.loop->call);
    }
  }
  out.id = "chatcmpl-" + std::to_string(number);
  for (std::size_t i = 0; i < out.calls.size(); ++i) {
    if (out.calls[i].id.empty()) {
      out.calls[i].id = "call_" + std::to_string(number) + "_" + std::to_string(i);
    }
  }
  out.finish = !one.finish_reason.empty() ? one.finish_reason
               : out.calls.empty()        ? "stop"
                                          : "tool_calls";
  out.usage = one.usage;
  if (out.usage.empty()) {
    std::size_t bytes = 0;
    for (const std::string& piece : out.text) bytes += piece.size() * one.repeat;
    for (const scripted_call& call : out.calls) bytes += call.arguments.size();
    const std::size_t prompt = body.size() / 4 + 1;
    const std::size_t completion = bytes / 4 + 1;
    out.usage = {{"prompt_tokens", prompt},
                 {"completion_tokens", completion},
                 {"total_tokens", prompt + completion}};
  }
  return out;
}

rendered render_stream(const step& one, const speech& said) {
  rendered out;
  out.stream = true;
  out.content_type = "text/event-stream";
  const std::string begin = "data: {\"id\":\"" + said.id +
                            "\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
                            "\"model\":\"fake-model\",\"choices\":[";
  const auto delta = [&](const std::string& text, std::string_view finish = "null") {
    out.pieces.push_back(begin + "{\"index\":0,\"delta\":" + text +
                         ",\"finish_reason\":" + std::string(finish) + "}]}\n\n");
  };
  const auto quoted = [](std::string_view text) { return json::serialize(json::string(text)); };
  delta(R"({"role":"assistant","content":""})");
  for (const std::string& piece : one.reasoning)
    delta("{\"reasoning_content\":" + quoted(piece) + "}");
  for (std::size_t i = 0; i < one.repeat; ++i) {
    for (const std::string& piece : said.text) delta("{\"content\":" + quoted(piece) + "}");
  }
  for (std::size_t i = 0; i < said.calls.size(); ++i) {
    const scripted_call& call = said.calls[i];
    const std::string index = std::to_string(i);
    delta("{\"tool_calls\":[{\"index\":" + index + ",\"id\":" + quoted(call.id) +
          ",\"type\":\"function\",\"function\":{\"name\":" + quoted(call.name) +
          ",\"arguments\":\"\"}}]}");
    const std::size_t most = one.argument_bytes == 0 ? call.arguments.size() : one.argument_bytes;
    for (std::size_t at = 0; at < call.arguments.size();) {
      std::size_t end = std::min(at + most, call.arguments.size());
      // A fragment ends between two characters.
      while (end < call.arguments.size() && (call.arguments[end] & 0xC0) == 0x80) ++end;
      delta("{\"tool_calls\":[{\"index\":" + index + ",\"function\":{\"arguments\":" +
            quoted(std::string_view(call.arguments).substr(at, end - at)) + "}}]}");
      at = end;
    }
  }
  if (one.malformed) out.pieces.push_back("data: {\"choices\":[{\"delta\":\n\n");
  if (!one.no_finish) delta("{}", quoted(said.finish));
  if (!one.no_usage) {
    out.pieces.push_back(begin + "],\"usage\":" + json::serialize(said.usage) + "}\n\n");
  }
  if (!one.no_done) out.pieces.emplace_back("data: [DONE]\n\n");
  return out;
}

rendered render_whole(const step& one, const speech& said) {
  std::string text;
  for (std::size_t i = 0; i < one.repeat; ++i) {
    for (const std::string& piece : said.text) text += piece;
  }
  json::object message{{"role", "assistant"}};
  message["content"] = text.empty() && !said.calls.empty() ? json::value() : json::value(text);
  std::string reasoning;
  for (const std::string& piece : one.reasoning) reasoning += piece;
  if (!reasoning.empty()) message["reasoning_content"] = reasoning;
  json::array calls;
  for (const scripted_call& call : said.calls) {
    calls.push_back(json::object{
        {"id", call.id},
        {"type", "function"},
        {"function", json::object{{"name", call.name}, {"arguments", call.arguments}}}});
  }
  if (!calls.empty()) message["tool_calls"] = std::move(calls);
  json::object choice{{"index", 0}, {"message", std::move(message)}};
  choice["finish_reason"] = one.no_finish ? json::value() : json::value(said.finish);
  json::object answer{{"id", said.id},
                      {"object", "chat.completion"},
                      {"created", 1700000000},
                      {"model", "fake-model"}};
  answer["choices"] = json::array{std::move(choice)};
  if (!one.no_usage) answer["usage"] = said.usage;
  rendered out;
  out.content_type = "application/json";
  out.pieces.push_back(json::serialize(answer));
  if (one.malformed) out.pieces.back().resize(out.pieces.back().size() / 2);
  return out;
}

}  // namespace

step step::saying(std::string words) {
  step out;
  out.text.push_back(std::move(words));
  return out;
}

step step::calling(std::string name, std::string arguments) {
  step out;
  out.tool_calls.push_back({std::move(name), std::move(arguments), {}});
  return out;
}

step step::failing(int status, std::string body) {
  step out;
  out.status = status;
  out.body = std::move(body);
  return out;
}

step step::looping(std::string tool, std::string arguments, std::size_t rounds, std::string words) {
  step out = saying(std::move(words));
  out.times = 0;
  out.loop = tool_loop{{std::move(tool), std::move(arguments), {}}, rounds, 1};
  return out;
}

script parse_script(std::string_view text) {
  if (text.size() > limits::script_bytes_max) throw std::runtime_error("script: too large");
  boost::system::error_code problem;
  const json::value value = json::parse(text, problem);
  if (problem) throw std::runtime_error("script: not JSON: " + problem.message());
  script out;
  const json::array* steps = value.if_array();
  if (const json::object* object = value.if_object()) {
    for (const auto& [key, member] : *object) {
      if (key == "steps" && member.is_array()) {
        steps = member.if_array();
      } else if (key == "models" && member.is_array()) {
        out.models = member.as_array();
      } else {
        throw std::runtime_error("script: '" + std::string(key) + "' is not a list of the script");
      }
    }
  }
  if (steps == nullptr) throw std::runtime_error("script: has no steps");
  for (std::size_t i = 0; i < steps->size(); ++i) out.steps.push_back(read_step((*steps)[i], i));
  return out;
}

rendered render(const step& one, std::size_t number, std::string_view body) {
  rendered out;
  if (one.body) {
    const bool events = one.content_type.find("event-stream") != std::string::npos;
    out.content_type = "application/json";
    out.stream = events;
    out.pieces.push_back(*one.body);
  } else {
    const speech said = prepare(one, number, body);
    out = wants_stream(body) ? render_stream(one, said) : render_whole(one, said);
  }
  out.status = one.status;
  if (!one.content_type.empty()) out.content_type = one.content_type;
  return out;
}

}  // namespace rustic::fakes
