// What reading a model's stream costs for each dialect: the time of one event, with everything from
// the bytes to the events and the result. The streams are of the size and the form that servers
// send: a thousand pieces of text of a few words, a call of a tool whose arguments come in pieces,
// all in network packets of 1400 bytes.
#include <benchmark/benchmark.h>

#include <functional>
#include <rustic/provider/chat.hpp>
#include <rustic/provider/responses.hpp>
#include <string>

#include "anthropic/reader.hpp"
#include "google/reader.hpp"
#include "ollama/reader.hpp"

namespace {

using namespace rustic;

constexpr int text_pieces = 1'000;
constexpr int argument_pieces = 100;
constexpr std::size_t packet_bytes = 1'400;

struct recording {
  std::string bytes;
  int events = 0;
  // `name`: of the event, where the dialect names them.
  void add(const std::string& json, std::string_view name = {}) {
    if (!name.empty()) bytes.append("event: ").append(name).append("\n");
    bytes.append("data: ").append(json).append("\n\n");
    ++events;
  }
};

std::string word(int i) {
  return " word" + std::to_string(i) + (i % 10 == 0 ? " \\u00e9\\n" : "");
}

recording chat() {
  recording out;
  const std::string head =
      R"({"id":"chatcmpl-DuLdCoxuLDs8HRMlOuz0Bi4wgi4XJ","object":"chat.completion.chunk","created":1780944970,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":)";
  const std::string tail =
      R"(,"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"K3yZ1"})";
  for (int i = 0; i < text_pieces; ++i) out.add(head + R"({"content":")" + word(i) + "\"}" + tail);
  out.add(
      head +
      R"({"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look","arguments":""}}]})" +
      tail);
  for (int i = 0; i < argument_pieces; ++i)
    out.add(head + R"({"tool_calls":[{"index":0,"function":{"arguments":"\")" + std::to_string(i) +
            "\\\"\"}}]}" + tail);
  out.add(R"({"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})");
  out.add("[DONE]");
  return out;
}

recording responses() {
  recording out;
  int number = 0;
  const auto add = [&](const std::string& type, const std::string& members) {
    out.add(R"({"type":")" + type + R"(","sequence_number":)" + std::to_string(++number) + "," +
                members + "}",
            type);
  };
  const std::string place =
      R"("item_id":"msg_0550b38c2cd9bfc00691c7c9d222481a3","output_index":0,"content_index":0,)";
  add("response.output_item.added", R"("output_index":0,"item":{"type":"message","content":[]})");
  for (int i = 0; i < text_pieces; ++i)
    add("response.output_text.delta",
        place + R"("delta":")" + word(i) + R"(","logprobs":[],"obfuscation":"K3yZ1")");
  add("response.output_item.added",
      R"("output_index":1,"item":{"type":"function_call","call_id":"call_1","name":"look"})");
  for (int i = 0; i < argument_pieces; ++i)
    add("response.function_call_arguments.delta",
        R"("item_id":"fc_1","output_index":1,"delta":"\")" + std::to_string(i) + "\\\"\"");
  add("response.completed", R"("response":{"id":"r","status":"completed","output":[]})");
  return out;
}

recording anthropic_messages() {
  recording out;
  const auto add = [&](const std::string& type, const std::string& members) {
    out.add(R"({"type":")" + type + "\"" + members + "}", type);
  };
  add("message_start", R"(,"message":{"id":"msg_1","model":"m","usage":{"input_tokens":5}})");
  add("content_block_start", R"(,"index":0,"content_block":{"type":"text","text":""})");
  for (int i = 0; i < text_pieces; ++i)
    add("content_block_delta",
        R"(,"index":0,"delta":{"type":"text_delta","text":")" + word(i) + "\"}");
  add("content_block_stop", R"(,"index":0)");
  add("content_block_start",
      R"(,"index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"look","input":{}})");
  for (int i = 0; i < argument_pieces; ++i)
    add("content_block_delta",
        R"(,"index":1,"delta":{"type":"input_json_delta","partial_json":"\")" + std::to_string(i) +
            "\\\"\"}");
  add("content_block_stop", R"(,"index":1)");
  add("message_delta", R"(,"delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9})");
  add("message_stop", "");
  return out;
}

recording gemini() {
  recording out;
  for (int i = 0; i < text_pieces; ++i)
    out.add(
        R"({"candidates":[{"content":{"parts":[{"text":")" + word(i) +
        R"("}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":54,"candidatesTokenCount":14,"totalTokenCount":130},"modelVersion":"gemini-2.5-flash","responseId":"Zm9v"})");
  out.add(
      R"({"candidates":[{"content":{"parts":[{"functionCall":{"name":"look","args":{"at":"sky"}}}],"role":"model"},"finishReason":"STOP","index":0}]})");
  return out;
}

recording ollama_lines() {
  recording out;
  const auto add = [&](const std::string& line) {
    out.bytes.append(line).append("\n");
    ++out.events;
  };
  for (int i = 0; i < text_pieces; ++i)
    add(R"({"model":"qwen3","created_at":"2026-01-01T00:00:00.000000Z","message":{"role":"assistant","content":")" +
        word(i) + R"("},"done":false})");
  add(R"({"model":"qwen3","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","eval_count":5})");
  return out;
}

template <class Reader>
void read(benchmark::State& state, const recording& from) {
  const provider::subject about{"generate", "p", "http://x", "m"};
  for (auto _ : state) {
    Reader reader(about, 1);
    std::size_t told = 0;
    for (std::size_t at = 0; at < from.bytes.size(); at += packet_bytes) {
      reader.feed(std::string_view(from.bytes).substr(at, packet_bytes));
      told += reader.events().size();
      reader.events().clear();
    }
    reader.end();
    if (reader.problem() || told == 0) state.SkipWithError("the stream cannot be read");
    benchmark::DoNotOptimize(reader.result());
  }
  state.counters["time_per_event"] = benchmark::Counter(
      static_cast<double>(from.events),
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

}  // namespace

int main(int count, char** words) {
  const recording streams[] = {chat(), responses(), anthropic_messages(), gemini(), ollama_lines()};
  const auto add = [](const char* name, auto run, const recording& stream) {
    benchmark::RegisterBenchmark(name, [run, &stream](benchmark::State& s) { run(s, stream); });
  };
  add("chat", read<provider::chat_reader>, streams[0]);
  add("responses", read<provider::responses_reader>, streams[1]);
  add("anthropic", read<anthropic::messages_reader>, streams[2]);
  add("google", read<google::content_reader>, streams[3]);
  add("ollama", read<ollama::line_reader>, streams[4]);
  benchmark::Initialize(&count, words);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
